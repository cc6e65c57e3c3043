"""A model of what a search would have measured elsewhere: Gaussian-process regression of its trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST = 4
"""Trials below which there is no model."""
MOST = 300
"""Trials that a model is fitted to at most; of more, every k-th one and the best."""

_JITTER = 1e-8
_STARTS = ((0.3, 0.01), (1.0, 0.1))
"""Length scale and share of noise that the fit starts from; the better end counts."""


@dataclass(frozen=True)
class Surrogate:
    """A fitted model: the posterior mean of the metric, without noise, anywhere in the space.

    Matérn-5/2 kernel with one length scale an axis; where an axis is not ordered, two places are as far apart as any
    two others. Priors on the logarithms, for standardised values: length scales N(√2 + log(d)/2, √3), as in
    Hvarfner et al. (2024); noise variance N(-4, 1); signal variance N(0, 1). The noise is inferred: the spread over
    folds says how folds differ, and all trials share them.

    points: N x d places. scales: d length scales. signal, noise: variances in units of ``spread`` squared.
    """

    points: Array
    ordered: NDArray[np.bool_]
    scales: Array
    signal: float
    noise: float
    centre: float
    spread: float
    weights: Array
    factor: Array
    left_out: Array
    """For each trial, what the model of all others predicts for it."""

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (M each) of the metric at M x d places, without the noise of a trial."""
        from scipy.linalg import solve_triangular

        across = self.signal * _matern(_distances(points, self.points, self.ordered), self.scales)
        explained = (solve_triangular(self.factor, across.T, lower=True) ** 2).sum(axis=0)
        deviation = np.sqrt(np.maximum(self.signal - explained, 0.0))
        return self.centre + self.spread * (across @ self.weights), self.spread * deviation

    def mean(self, points: Array) -> Array:
        """The mean alone."""
        across = self.signal * _matern(_distances(points, self.points, self.ordered), self.scales)
        return np.asarray(self.centre + self.spread * (across @ self.weights))

    @property
    def explained(self) -> float:
        """Leave-one-out R²: 1 is perfect, 0 and less is no better than the trials' mean."""
        values = self.centre + self.spread * self._standardised
        return float(1 - ((values - self.left_out) ** 2).sum() / ((values - values.mean()) ** 2).sum())

    @property
    def _standardised(self) -> Array:
        return np.asarray(self.factor @ (self.factor.T @ self.weights))


def fit(points: Array, values: Array, ordered: NDArray[np.bool_]) -> Surrogate | None:
    """The model of ``values`` (N) at ``points`` (N x d); ``None`` for too few or equal values. The same each time."""
    if len(values) < FEWEST or points.shape[1] == 0 or np.ptp(values) == 0:
        return None
    kept = _kept(values)
    points, values = points[kept], values[kept]
    centre, spread = float(values.mean()), float(values.std())
    standard, distances = (values - centre) / spread, _distances(points, points, ordered)
    scales, signal, noise = _best_setting(distances, standard)
    factor = np.asarray(np.linalg.cholesky(_covariance(distances, scales, signal, noise)), dtype=np.float64)
    inverse = np.linalg.inv(factor)
    precision = inverse.T @ inverse
    weights = precision @ standard
    left_out = centre + spread * (standard - weights / np.diag(precision))
    return Surrogate(points, ordered, scales, signal, noise, centre, spread, weights, factor, left_out)


def _kept(values: Array) -> NDArray[np.int64]:
    if len(values) <= MOST:
        return np.arange(len(values))
    return np.unique([*np.linspace(0, len(values) - 1, MOST - 1).astype(int), int(values.argmax())])


def _best_setting(distances: Array, values: Array) -> tuple[Array, float, float]:
    """Length scales, signal and noise variance of the highest posterior."""
    from scipy.optimize import minimize

    axes = len(distances)
    bounds = [(math.log(0.02), math.log(50.0))] * axes + [(-3.0, 3.0), (math.log(1e-6), math.log(2.0))]
    ends = []
    for scale, noise in _STARTS:
        start = np.array([math.log(scale * math.sqrt(axes))] * axes + [0.0, math.log(noise)])
        ends.append(minimize(_loss, start, (distances, values), method="L-BFGS-B", jac=True, bounds=bounds))
    best = np.exp(min(ends, key=lambda end: end.fun).x)
    return best[:axes], float(best[axes]), float(best[axes + 1])


def _loss(logs: Array, distances: Array, values: Array) -> tuple[float, Array]:
    """Minus the log posterior of the logarithms of length scales, signal and noise, and its gradient."""
    axes = len(distances)
    scales, signal, noise = np.exp(logs[:axes]), math.exp(logs[axes]), math.exp(logs[axes + 1])
    squares = distances / scales[:, None, None] ** 2
    root = np.sqrt(5 * squares.sum(axis=0))
    decay = np.exp(-root)
    kernel = signal * (1 + root + root**2 / 3) * decay
    factor = np.linalg.cholesky(kernel + (noise + _JITTER) * np.eye(len(values)))
    inverse = np.linalg.inv(factor)
    precision = inverse.T @ inverse
    weights = precision @ values
    inner = np.outer(weights, weights) - precision
    slope = signal * (5 / 3) * (1 + root) * decay
    pull = [float((inner * slope * square).sum()) for square in squares]
    gradient = -0.5 * np.array([*pull, float((inner * kernel).sum()), noise * float(np.trace(inner))])
    prior = np.array([math.sqrt(2) + math.log(axes) / 2] * axes + [0.0, -4.0])
    variance = np.array([3.0] * axes + [1.0, 1.0])
    loss = 0.5 * float(values @ weights) + float(np.log(np.diag(factor)).sum())
    return loss + float(((logs - prior) ** 2 / (2 * variance)).sum()), gradient + (logs - prior) / variance


def _covariance(distances: Array, scales: Array, signal: float, noise: float) -> Array:
    return np.asarray(signal * _matern(distances, scales) + (noise + _JITTER) * np.eye(distances.shape[1]))


def _matern(distances: Array, scales: Array) -> Array:
    root = np.sqrt(5 * np.tensordot(1 / scales**2, distances, axes=1))
    return np.asarray((1 + root + root**2 / 3) * np.exp(-root))


def _distances(first: Array, second: Array, ordered: NDArray[np.bool_]) -> Array:
    """Squared distance on each axis: d x M x N."""
    apart = first.T[:, :, None] - second.T[:, None, :]
    return np.where(ordered[:, None, None], apart**2, (apart != 0).astype(float))
