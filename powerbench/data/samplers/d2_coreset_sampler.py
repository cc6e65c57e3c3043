"""Batches whose anchors are typical of the embeddings and far apart: sampling by squared distance."""

from __future__ import annotations

import numpy as np

from powerbench.data.samplers.coreset_batches import CoresetBatches, Embed, squared_distances
from powerbench.errors import UserError


class D2CoresetSampler:
    """Each batch: ``batch_size / m`` anchors drawn by density and distance, each with ``m - 1`` more of its class.

    In a random subset of ``big_batch`` items with mean mu and covariance S, the first anchor is the item nearest to
    a draw from N(mu, S). Each further one is drawn among the others with a probability proportional to
    N(x; mu, S) * (sum of squared distances to the anchors) ** ``power``. Embeddings are computed anew for each plan
    (an epoch's batches).

    labels: one label an item. batch_size: items a batch, a multiple of ``m``.

    Source: ``d2_coreset`` of "Revisiting Training Strategies and Generalization Performance in Deep Metric Learning"
    (Roth et al., 2020; ``power`` is its lambda). The published code selects in one subset and takes the items from
    another, so that its anchors are random; here they are those drawn.
    """

    def __init__(
        self, labels: np.ndarray, batch_size: int, m: int = 2, big_batch: int = 512, power: float = 1.0
    ) -> None:
        if power < 0:
            raise UserError(f"D2CoresetSampler: power must not be negative, but is {power}")
        self._power = power
        self._batches = CoresetBatches("D2CoresetSampler", labels, batch_size, m, big_batch)

    def plan(self, n: int, generator: np.random.Generator, embed: Embed) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a function of the generator and the embeddings."""
        return self._batches.made(n, generator, embed, self._select)

    def _select(self, points: np.ndarray, count: int, generator: np.random.Generator) -> list[int]:
        mean, covariance = points.mean(axis=0), np.atleast_2d(np.cov(points.T))
        draw = generator.multivariate_normal(mean, covariance, method="eigh", check_valid="ignore")
        selected = [int(((points - draw) ** 2).sum(axis=1).argmin())]
        densities = log_densities(points, mean, covariance)
        distances = np.zeros(len(points))
        while len(selected) < count:
            distances += squared_distances(points, selected[-1])
            chances = probabilities(densities, distances, selected, self._power)
            selected.append(int(generator.choice(len(points), p=chances)))
        return selected


def log_densities(points: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """log N(x; mean, covariance) of points (N x D) up to a constant; directions without variance do not count."""
    inverse = np.linalg.pinv(covariance, hermitian=True)
    offsets = points - mean
    found: np.ndarray = -0.5 * np.einsum("nd,de,ne->n", offsets, inverse, offsets, optimize=True)
    return found


def probabilities(densities: np.ndarray, distances: np.ndarray, selected: list[int], power: float) -> np.ndarray:
    """The chance of each point to be next: by log density, and by the sum of its squared distances to ``selected``.

    Where no other point has a distance (all lie on one spot), all others are equally likely.
    """
    with np.errstate(divide="ignore"):
        weights = densities + (power * np.log(distances) if power else 0.0)
    weights[selected] = -np.inf
    if not np.isfinite(weights).any():
        weights = np.zeros(len(weights))
        weights[selected] = -np.inf
    chances = np.exp(weights - weights.max())
    found: np.ndarray = chances / chances.sum()
    return found
