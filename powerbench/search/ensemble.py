"""What BoTorch is given to propose with: a mixture of Gaussian processes, and the improvement that it expects."""

from __future__ import annotations

import math
from typing import Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.models.model import Model
from botorch.posteriors.fully_bayesian import GaussianMixturePosterior
from botorch.utils.datasets import SupervisedDataset
from gpytorch.distributions import MultivariateNormal
from torch import Tensor

from powerbench.search.gaussian_process import Axes, HyperparameterPosterior, correlation, sobol

SAMPLES = 8
"""Of what the trials would have given without noise, a member of the mixture; they come in pairs of opposite signs."""
JITTER = 1e-6


class Mixture(Model):  # type: ignore[misc]
    """The trials' Gaussian processes, one for each draw of the hyperparameters, as equal parts of one prediction.

    Values are drawn in (:func:`drawn_in`) and standardised, in training and in predictions.
    """

    _is_ensemble = True
    num_outputs = 1

    def __init__(self, points: Tensor, values: Tensor, axes: Axes) -> None:
        """``points``: n x d in [0, 1], or beyond after a change of the bounds; ``values``: n."""
        super().__init__()
        self.axes = axes
        self.points = axes.snapped(points)
        self.values = standardised(drawn_in(values))

    def fit(self) -> None:
        """Draw the hyperparameters, with torch's global generator."""
        self.draws = HyperparameterPosterior(self.axes, self.points, self.values).draws()
        covariance = self.prior_covariance(self.points, self.points)
        covariance.diagonal(dim1=1, dim2=2).add_(self.draws.noise[:, None])
        self.factor = torch.linalg.cholesky(covariance)

    def prior_covariance(self, first: Tensor, second: Tensor) -> Tensor:
        """B x N x M, of snapped points."""
        geometry = self.draws.geometry
        return correlation(self.axes.placed(first, geometry), self.axes.placed(second, geometry))

    def joint(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B x N) and covariance (B x N x N) of the noise-free values at N x d snapped points."""
        across = self.prior_covariance(self.points, points)
        explained = torch.linalg.solve_triangular(self.factor, across, upper=False)
        centred = (self.values - self.draws.mean[:, None])[:, :, None]
        weights = torch.linalg.solve_triangular(self.factor, centred, upper=False)
        mean = self.draws.mean[:, None] + (explained.mT @ weights)[:, :, 0]
        return mean, self.prior_covariance(points, points) - explained.mT @ explained

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
    ) -> GaussianMixturePosterior:
        """BoTorch's view of :meth:`joint`, of N x d points."""
        mean, covariance = self.joint(self.axes.snapped(X))
        covariance.diagonal(dim1=1, dim2=2).add_(JITTER)
        return GaussianMixturePosterior(MultivariateNormal(mean, covariance))

    @classmethod
    def construct_inputs(cls, training_data: SupervisedDataset, axes: Axes) -> dict[str, Any]:
        """Ax's data as arguments."""
        return {"points": training_data.X, "values": training_data.Y[:, 0], "axes": axes}


class NoisyExpectedImprovement(AcquisitionFunction):  # type: ignore[misc]
    """Logarithm of the improvement that a trial is expected to bring over the best earlier one, whichever that is.

    Noisy expected improvement (Letham et al. 2019, "Constrained Bayesian Optimization with Noisy Experiments"): what
    the trials would have given without noise is sampled, pending ones included, and the improvement over each sample's
    best is averaged in closed form; here over the members of the mixture, too.
    """

    def __init__(self, model: Mixture, pending: Tensor | None) -> None:
        """``pending``: q x d points that have no result yet, or will never have one."""
        super().__init__(model)
        self.known = model.points if pending is None else torch.cat([model.points, model.axes.snapped(pending)])
        mean, covariance = model.joint(self.known)
        half = torch.randn(len(mean), len(self.known), SAMPLES // 2, dtype=mean.dtype)
        drawn = mean[:, :, None] + _root(covariance, 1e-8) @ torch.cat([half, -half], dim=2)
        prior = model.prior_covariance(self.known, self.known)
        self.precision = torch.cholesky_inverse(_root(prior, JITTER))
        self.weights = self.precision @ (drawn - model.draws.mean[:, None, None])
        self.best = drawn.amax(1)

    def forward(self, X: Tensor) -> Tensor:
        """Of N x 1 x d points: N."""
        model: Mixture = self.model
        across = model.prior_covariance(model.axes.snapped(X[:, 0]), self.known)
        mean = model.draws.mean[:, None, None] + across @ self.weights
        variance = 1 - ((across @ self.precision) * across).sum(2)
        deviation = variance.clamp_min(1e-12).sqrt()[:, :, None]
        improvement = log_improvement((mean - self.best[:, None]) / deviation) + deviation.log()
        return torch.logsumexp(improvement, (0, 2))


RAW = 1024
"""Quasi-random points of the whole space that the acquisition is evaluated at first."""
NEAR, NEAR_WIDTHS = 100, (0.1, 0.03, 0.01)
"""Points around the best trials, for each of some widths."""
LEADERS = 5
KEPT, CHILDREN = 8, 16
WIDTHS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002)
"""Then, for each width, points around the best so far."""


def best_candidate(acquisition: NoisyExpectedImprovement) -> tuple[Tensor, Tensor]:
    """A point (1 x d) in [0, 1] where the acquisition is highest, and its value (1).

    By evaluation alone, without gradients: discrete coordinates have none, and the acquisition is cheap.
    """
    model: Mixture = acquisition.model
    margin = torch.where(model.axes.levels > 0, 0.5 / model.axes.levels.clamp_min(1), 0.0)
    leaders = model.points[model.values.topk(min(LEADERS, len(model.values))).indices].clamp(margin, 1 - margin)
    near = [_moved(leaders[torch.randint(len(leaders), (NEAR,))], width, model.axes) for width in NEAR_WIDTHS]
    points = torch.cat([sobol(RAW, leaders.shape[1]), *near])
    with torch.no_grad():
        values = acquisition(points[:, None])
        for width in WIDTHS:
            best = values.topk(KEPT).indices
            children = _moved(points[best].repeat_interleave(CHILDREN, 0), width, model.axes)
            points = torch.cat([points[best], children])
            values = torch.cat([values[best], acquisition(children[:, None])])
    place = values.argmax()
    return model.axes.snapped(points[place][None]), values[place][None]


def _moved(points: Tensor, width: float, axes: Axes) -> Tensor:
    """Some coordinates of each point moved: floats by about ``width``, discrete ones to any value."""
    dimension = points.shape[1]
    moved = torch.rand_like(points) < max(0.5, 1 / dimension)
    moved.scatter_(1, torch.randint(dimension, (len(points), 1)), True)
    step = (points + width * torch.randn_like(points)).clamp(0, 1)
    return torch.where(moved, torch.where(axes.levels > 0, torch.rand_like(points), step), points)


def drawn_in(values: Tensor) -> Tensor:
    """The values with those below the median drawn in, by their logarithm at the scale of the upper half.

    Terrible trials say where not to look and nothing about how the metric changes near its best; as they are, one cliff
    would set the scale of everything.
    """
    middle = values.quantile(0.5)
    scale = (values.max() - middle).clamp_min(1e-12)
    return torch.where(values < middle, middle - scale * ((middle - values).clamp_min(0) / scale).log1p(), values)


def log_improvement(gap: Tensor) -> Tensor:
    """Logarithm of E max(0, gap + Z), Z standard normal (Ament et al. 2023), exact far below 0, too."""
    constant = 0.5 * math.log(2 * math.pi)
    above = gap.clamp_min(-1)
    direct = ((-0.5 * above.square() - constant).exp() + above * torch.special.ndtr(above)).log()
    below = gap.clamp(-1e5, -1)
    tail = (below * torch.special.erfcx(-below / math.sqrt(2)) * math.sqrt(math.pi / 2)).log1p()
    return torch.where(gap > -1, direct, tail - 0.5 * gap.square() - constant)


def standardised(values: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1; zeros if all are equal."""
    spread = values.std(correction=0)
    return (values - values.mean()) / (spread if spread > 0 else 1)


def _root(covariance: Tensor, jitter: float) -> Tensor:
    """A Cholesky factor of B x N x N, with as little added to the diagonal as it takes."""
    for _ in range(6):
        covariance = covariance + jitter * torch.eye(covariance.shape[-1], dtype=covariance.dtype)
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if not failed.any():
            break
        jitter *= 10
    return torch.as_tensor(factor)
