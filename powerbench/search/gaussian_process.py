"""Gaussian processes of a search's trials: one for each of several draws of the hyperparameters.

Few trials say little about how fast a metric changes along each parameter. One best guess is often wrong, and the
search then believes it has seen all; several draws of what the trials leave possible disagree where nothing was tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

MEMBERS = 16
"""Draws of the hyperparameters."""
PRIOR_DRAWS = 1024
STEPS = 60
"""Moves of every walker, for each four of the hyperparameters."""
CELLS = 2**22
"""Of the covariances of prior draws that are solved at once: what they take of memory."""
TEMPER = 0.5
"""Power of the likelihood that the walkers start from: they spread wider than what is to be drawn."""
SCALE = (math.log(0.5), 1.0)
"""Normal prior of the logarithm of a length scale in one dimension, for parameters on [0, 1]: a metric changes within
the range that someone chose to search. The mean grows by half the logarithm of the dimension (Hvarfner et al. 2024,
"Vanilla Bayesian Optimization Performs Great in High Dimensions", whose own prior expects far longer ones)."""
NOISE = (-6.0, 2.0)
"""Normal prior of the logarithm of the noise variance, for standardised values: anything from exact to useless."""
SKEW = 0.7
"""Standard deviation of the normal prior of a skew, around 0: ridges often lie askew to the axes, as two margins of a
loss, or a learning rate and a scale, make up for each other."""
WARP = 2.0
"""Standard deviation of the normal prior of a warp, around 0: many a metric changes by ratios of a parameter that was
given a linear range, with a peak near one end."""
MOST_SKEWED = 3
"""Ordered parameters up to which every two have a skew: of more, there would be too many to tell from few trials."""
FURTHEST = 10.0
"""Ranges beyond a bound, where trials may lie after a change of the bounds, that are told apart."""
LEAST_NOISE = 1e-6
JITTER = 1e-8


@dataclass(frozen=True)
class Geometry:
    """B draws of how far apart points are, see :meth:`Axes.placed`: length ``scales`` B x d, ``skews`` B x p, and
    ``warps`` B x o of the ordered axes."""

    scales: Tensor
    skews: Tensor
    warps: Tensor


@dataclass(frozen=True)
class Axes:
    """What the coordinates in [0, 1] stand for, one entry each.

    ``levels``: in how many equal bins the values of a discrete parameter lie; 0 for a float. ``ordered``: whether bins
    further apart differ more.
    """

    levels: Tensor
    ordered: Tensor

    def snapped(self, points: Tensor) -> Tensor:
        """The points (... x d) with discrete coordinates in the middle of their bins (Garrido-Merchán and
        Hernández-Lobato 2020): what is trained is what is modelled."""
        levels = self.levels.clamp_min(1)
        return torch.where(self.levels > 0, ((points * levels).floor() + 0.5) / levels, points)

    @cached_property
    def pairs(self) -> Tensor:
        """The p pairs of ordered axes that a ridge may lie askew to, 2 x p, numbered among the ordered ones."""
        count = int(self.ordered.sum())
        return (
            torch.combinations(torch.arange(count)).T if count <= MOST_SKEWED else torch.empty(2, 0, dtype=torch.long)
        )

    def placed(self, points: Tensor, geometry: Geometry) -> Tensor:
        """Snapped points (N x d) where only the distance counts, B x N x q.

        Ordered axes are warped and divided by their length scales; then, of each pair, the first times the skew is
        added to the second. An axis of choices becomes one for each of its values, so that any two are as far apart.
        """
        ordered = _warped(points[:, self.ordered], geometry.warps[:, None]) / geometry.scales[:, None, self.ordered]
        shear = torch.eye(ordered.shape[2], dtype=points.dtype).repeat(len(ordered), 1, 1)
        shear[:, self.pairs[0], self.pairs[1]] = geometry.skews
        choices = [
            functional.one_hot((points[:, axis] * self.levels[axis]).long(), int(self.levels[axis]))
            / (math.sqrt(2) * geometry.scales[:, axis, None, None])
            for axis in (~self.ordered).nonzero()[:, 0]
        ]
        return torch.cat([ordered @ shear, *choices], dim=2)


def _warped(points: Tensor, warps: Tensor) -> Tensor:
    """[0, 1] onto itself, more finely resolved near 0 where the warp is positive, near 1 where it is negative: by a
    logarithm whose base is the ratio of the slopes at both ends, straight beyond them, up to ``FURTHEST`` ranges."""
    warps = torch.where(warps.abs() < 1e-4, 1e-4, warps)
    growth = warps.expm1()
    inside = points.clamp(0, 1)
    beyond = (points - inside).clamp(-FURTHEST, FURTHEST)
    slope = torch.where(beyond < 0, growth, -(-warps).expm1()) / warps
    return (growth * inside).log1p() / warps + slope * beyond


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Squared-exponential correlations, B x N x M, of placed points, B x N x q and B x M x q."""
    ends = first.square().sum(2)[:, :, None] + second.square().sum(2)[:, None, :]
    return torch.baddbmm(ends, first, second.mT, beta=-0.5).clamp_max_(0).exp_()


@dataclass(frozen=True)
class Draws:
    """B draws of the hyperparameters: ``geometry``, ``noise`` (variance) and constant ``mean``, B each."""

    geometry: Geometry
    noise: Tensor
    mean: Tensor


class HyperparameterPosterior:
    """The posterior of the logarithms of d length scales, of p skews, o warps, and the logarithm of the noise variance.

    The constant mean is what fits best with each. Arguments are B x (d + p + o + 1), in this order.
    """

    def __init__(self, axes: Axes, points: Tensor, values: Tensor) -> None:
        """``points``: n x d, snapped; ``values``: n, standardised."""
        self.axes, self.points = axes, points
        self.columns = torch.stack([values, torch.ones_like(values)], dim=1)
        dimension = len(axes.levels)
        priors = [(SCALE[0] + math.log(dimension) / 2, SCALE[1])] * dimension
        priors += [(0.0, SKEW)] * axes.pairs.shape[1] + [(0.0, WARP)] * int(axes.ordered.sum()) + [NOISE]
        moments = torch.tensor(priors, dtype=values.dtype)
        self.centre, self.spread = moments[:, 0], moments[:, 1]

    def log_prior(self, logs: Tensor) -> Tensor:
        """B, up to a constant."""
        return -0.5 * ((logs - self.centre) / self.spread).square().sum(1)

    def log_likelihood(self, logs: Tensor) -> Tensor:
        """B, up to a constant."""
        factor, solved = self._solved(logs)
        square, cross, ones = solved[..., 0].square().sum(1), solved.prod(2).sum(1), solved[..., 1].square().sum(1)
        found = -0.5 * (square - cross.square() / ones) - factor.diagonal(dim1=1, dim2=2).log().sum(1)
        return found.nan_to_num(nan=-math.inf)

    def draws(self, count: int = MEMBERS) -> Draws:
        """``count`` draws: the prior's resampled by their tempered likelihood, then moved as an affine-invariant
        ensemble (Goodman and Weare 2010). Random numbers come from torch's global generator."""
        parameters = len(self.centre)
        start = self._start(2 * max(count, parameters + 1))  # of fewer, a half could not move in every direction
        first, second = start.chunk(2)
        of_first, of_second = self._log_posterior(first), self._log_posterior(second)
        for _ in range(STEPS * max(1, parameters // 4)):
            first, of_first = self._stretched(first, of_first, second)
            second, of_second = self._stretched(second, of_second, first)
        logs = torch.cat([first, second])[torch.arange(count) * len(start) // count]
        _, solved = self._solved(logs)
        mean = solved.prod(2).sum(1) / solved[..., 1].square().sum(1)
        return Draws(self._geometry(logs), _noise(logs), mean)

    def _log_posterior(self, logs: Tensor) -> Tensor:
        return self.log_prior(logs) + self.log_likelihood(logs)

    def _start(self, count: int) -> Tensor:
        normal = torch.special.ndtri(sobol(PRIOR_DRAWS, len(self.centre)).clamp(1e-9, 1 - 1e-9))
        drawn = self.centre + self.spread * normal
        parts = drawn.split(max(1, CELLS // len(self.points) ** 2))
        weights = (TEMPER * torch.cat([self.log_likelihood(part) for part in parts])).softmax(0)
        grid = (torch.arange(count, dtype=weights.dtype) + torch.rand(1, dtype=weights.dtype)) / count
        chosen: Tensor = drawn[torch.searchsorted(weights.cumsum(0), grid).clamp_max(PRIOR_DRAWS - 1)]
        return (chosen + 0.05 * torch.randn_like(chosen))[torch.randperm(count)]

    def _stretched(self, moved: Tensor, log_posterior: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        count, parameters = moved.shape
        stretch = (1 + torch.rand(count, dtype=moved.dtype)).square() / 2
        anchor = others[torch.randint(count, (count,))]
        proposed = anchor + stretch[:, None] * (moved - anchor)
        theirs = self._log_posterior(proposed)
        gain = (parameters - 1) * stretch.log() + theirs - log_posterior
        accepted = torch.rand(count, dtype=moved.dtype).log() < gain
        return torch.where(accepted[:, None], proposed, moved), torch.where(accepted, theirs, log_posterior)

    def _geometry(self, logs: Tensor) -> Geometry:
        skews = len(self.axes.levels)
        warps = skews + self.axes.pairs.shape[1]
        return Geometry(logs[:, :skews].exp(), logs[:, skews:warps], logs[:, warps:-1])

    def _solved(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        placed = self.axes.placed(self.points, self._geometry(logs))
        covariance = correlation(placed, placed)
        covariance.diagonal(dim1=1, dim2=2).add_((_noise(logs) + JITTER)[:, None])
        factor, failed = torch.linalg.cholesky_ex(covariance)
        factor[failed > 0] = math.nan
        columns = self.columns.expand(len(logs), -1, -1)
        return factor, torch.linalg.solve_triangular(factor, columns, upper=False)


def _noise(logs: Tensor) -> Tensor:
    return logs[:, -1].exp().clamp_min(LEAST_NOISE)


def sobol(count: int, dimension: int) -> Tensor:
    """``count`` x ``dimension`` scrambled Sobol points in [0, 1], by torch's global generator."""
    engine = torch.quasirandom.SobolEngine(dimension, scramble=True, seed=int(torch.randint(2**31, (1,))))  # type: ignore[no-untyped-call]
    return engine.draw(count, dtype=torch.float64)
