"""Gaussian processes of a search's trials: one for each of several draws of the hyperparameters.

Few trials say little about how fast a metric changes along each parameter. One best guess is often wrong, and the
search then believes it has seen all; several draws of what the trials leave possible disagree where nothing was tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

MEMBERS = 16
"""Draws of the hyperparameters."""
PRIOR_DRAWS = 1024
STEPS = 60
"""Moves of every walker, of which there are twice as many as members."""
TEMPER = 0.5
"""Power of the likelihood that the walkers start from: they spread wider than what is to be drawn."""
SCALE = (math.sqrt(2), math.sqrt(3))
"""Normal prior of the logarithm of a length scale in one dimension, for parameters on [0, 1] (Hvarfner et al. 2024,
"Vanilla Bayesian Optimization Performs Great in High Dimensions"); the mean grows by half the logarithm of the
dimension."""
NOISE = (-6.0, 2.0)
"""Normal prior of the logarithm of the noise variance, for standardised values: anything from exact to useless."""
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

    def apart(self, first: Tensor, second: Tensor) -> Tensor:
        """Squared distances on each axis, d x N x M, of N x d and M x d snapped points."""
        difference = first.T[:, :, None] - second.T[:, None, :]
        different = (difference.abs() > 1e-9).to(difference)
        return torch.where(self.ordered[:, None, None], difference.square(), different)


def correlation(apart: Tensor, scales: Tensor) -> Tensor:
    """Squared-exponential correlations, B x N x M, from d x N x M squared distances and B x d length scales."""
    flat = scales.pow(-2) @ apart.reshape(len(apart), -1)
    return flat.mul_(-0.5).exp_().reshape(len(scales), *apart.shape[1:])


@dataclass(frozen=True)
class Draws:
    """B draws of the hyperparameters: ``scales`` B x d, ``noise`` (variance) and constant ``mean`` B each."""

    scales: Tensor
    noise: Tensor
    mean: Tensor


class HyperparameterPosterior:
    """The posterior of the logarithms of d length scales and the noise variance, the constant mean integrated out."""

    def __init__(self, apart: Tensor, values: Tensor) -> None:
        """``apart``: d x n x n squared distances of the trials; ``values``: n, standardised."""
        axes = len(apart)
        self.apart = apart
        self.columns = torch.stack([values, torch.ones_like(values)], dim=1)
        self.centre = torch.tensor([SCALE[0] + math.log(axes) / 2] * axes + [NOISE[0]], dtype=values.dtype)
        self.spread = torch.tensor([SCALE[1]] * axes + [NOISE[1]], dtype=values.dtype)

    def log_prior(self, logs: Tensor) -> Tensor:
        """B, up to a constant."""
        return -0.5 * ((logs - self.centre) / self.spread).square().sum(1)

    def log_likelihood(self, logs: Tensor) -> Tensor:
        """B, up to a constant, of B x (d + 1) logarithms."""
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
        return Draws(logs[:, :-1].exp(), _noise(logs), mean)

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

    def _solved(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        covariance = correlation(self.apart, logs[:, :-1].exp())
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
