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

MEMBERS = 16
"""Draws of the hyperparameters."""
PRIOR_DRAWS = 1024
STEPS = 60
"""Moves of every walker, of which there are twice as many as members."""
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
MOST_SKEWED = 3
"""Ordered parameters up to which every two have a skew: of more, there would be too many to tell from few trials."""
LEAST_NOISE = 1e-6
JITTER = 1e-8


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
        """The p pairs of axes that a ridge may lie askew to, 2 x p."""
        ordered = self.ordered.nonzero()[:, 0]
        return torch.combinations(ordered).T if len(ordered) <= MOST_SKEWED else ordered.new_empty(2, 0)

    def apart(self, first: Tensor, second: Tensor) -> Tensor:
        """Of N x d and M x d snapped points, (d + p) x N x M: the squared distance on each axis, and the product of the
        distances on each pair of axes."""
        difference = first.T[:, :, None] - second.T[:, None, :]
        different = (difference.abs() > 1e-9).to(difference)
        squares = torch.where(self.ordered[:, None, None], difference.square(), different)
        return torch.cat([squares, difference[self.pairs[0]] * difference[self.pairs[1]]])

    def metric(self, scales: Tensor, skews: Tensor) -> Tensor:
        """What :meth:`apart` is weighted with, B x (d + p), for B x d length scales and B x p skews: the axes are
        divided by their length scales, then of each pair the first times the skew is added to the second."""
        shear = torch.eye(len(self.levels), dtype=scales.dtype).repeat(len(scales), 1, 1)
        shear[:, self.pairs[1], self.pairs[0]] = skews
        form = shear.mT @ shear / (scales[:, :, None] * scales[:, None, :])
        return torch.cat([form.diagonal(dim1=1, dim2=2), 2 * form[:, self.pairs[0], self.pairs[1]]], dim=1)


def correlation(apart: Tensor, metric: Tensor) -> Tensor:
    """Squared-exponential correlations, B x N x M, see :class:`Axes`."""
    flat = metric @ apart.reshape(len(apart), -1)
    return flat.mul_(-0.5).exp_().reshape(len(metric), *apart.shape[1:])


@dataclass(frozen=True)
class Draws:
    """B draws of the hyperparameters: ``metric`` B x (d + p), ``noise`` (variance) and constant ``mean`` B each."""

    metric: Tensor
    noise: Tensor
    mean: Tensor


class HyperparameterPosterior:
    """The posterior of the logarithms of d length scales, of p skews, and of the logarithm of the noise variance.

    The constant mean is what fits best with each. Arguments are B x (d + p + 1), in this order.
    """

    def __init__(self, axes: Axes, points: Tensor, values: Tensor) -> None:
        """``points``: n x d, snapped; ``values``: n, standardised."""
        self.axes, self.dimension = axes, len(axes.levels)
        self.apart = axes.apart(points, points)
        self.columns = torch.stack([values, torch.ones_like(values)], dim=1)
        pairs = axes.pairs.shape[1]
        scale = SCALE[0] + math.log(self.dimension) / 2
        self.centre = torch.tensor([scale] * self.dimension + [0.0] * pairs + [NOISE[0]], dtype=values.dtype)
        self.spread = torch.tensor([SCALE[1]] * self.dimension + [SKEW] * pairs + [NOISE[1]], dtype=values.dtype)

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
        start = self._start(2 * count)
        first, second = start.chunk(2)
        of_first, of_second = self._log_posterior(first), self._log_posterior(second)
        for _ in range(STEPS):
            first, of_first = self._stretched(first, of_first, second)
            second, of_second = self._stretched(second, of_second, first)
        logs = torch.cat([first, second])[::2]
        _, solved = self._solved(logs)
        mean = solved.prod(2).sum(1) / solved[..., 1].square().sum(1)
        return Draws(self._metric(logs), _noise(logs), mean)

    def _log_posterior(self, logs: Tensor) -> Tensor:
        return self.log_prior(logs) + self.log_likelihood(logs)

    def _start(self, count: int) -> Tensor:
        normal = torch.special.ndtri(sobol(PRIOR_DRAWS, len(self.centre)).clamp(1e-9, 1 - 1e-9))
        drawn = self.centre + self.spread * normal
        weights = (TEMPER * self.log_likelihood(drawn)).softmax(0)
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

    def _metric(self, logs: Tensor) -> Tensor:
        return self.axes.metric(logs[:, : self.dimension].exp(), logs[:, self.dimension : -1])

    def _solved(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        covariance = correlation(self.apart, self._metric(logs))
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
