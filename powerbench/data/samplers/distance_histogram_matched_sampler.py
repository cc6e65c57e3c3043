"""Batches whose embeddings have the pairwise distances of a bigger batch."""

from __future__ import annotations

from functools import partial

import numpy as np

from powerbench.data.samplers.coreset_batches import Embed
from powerbench.data.samplers.matched_batches import Cost, MatchedBatches
from powerbench.errors import UserError, nearest

BINS = 50
WEIGHT = 75.0 * 2
MEASURES = ("positions", "heights")


class DistanceHistogramMatchedSampler:
    """Each batch is the one of ``candidates`` whose distances are most like those of a big batch it is a part of.

    The cost of a candidate is ||difference of means|| + ||difference of standard deviations|| + 150 W, where W
    compares 50-bin histograms of the pairwise Euclidean distances, over the range of the big batch's. ``wasserstein``:
    ``positions``, the Wasserstein-1 distance of the two histograms; ``heights``, what the published code computes,
    that of the two sets of 50 bin heights, whatever their order. The big batch and its parts are drawn as for
    :class:`FIDMatchedSampler`. Embeddings are computed anew for each plan (an epoch's batches).

    labels: one label an item. batch_size: items a batch, a multiple of ``m``.

    Source: ``disthist_batchmatch`` of "Revisiting Training Strategies and Generalization Performance in Deep Metric
    Learning" (Roth et al., 2020).
    """

    def __init__(
        self,
        labels: np.ndarray,
        batch_size: int,
        m: int = 2,
        big_batch: int = 512,
        candidates: int = 10,
        wasserstein: str = "positions",
    ) -> None:
        name = "DistanceHistogramMatchedSampler"
        if wasserstein not in MEASURES:
            raise UserError(
                f"{name}: wasserstein is {' or '.join(MEASURES)}, not {wasserstein!r}",
                near=nearest(wasserstein, MEASURES),
            )
        self._of_heights = wasserstein == "heights"
        self._batches = MatchedBatches(name, labels, batch_size, m, big_batch, candidates)

    def plan(self, n: int, generator: np.random.Generator, embed: Embed) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a function of the generator and the embeddings."""
        return self._batches.made(n, generator, embed, partial(histogram_cost_to, of_heights=self._of_heights))


def histogram_cost_to(points: np.ndarray, *, of_heights: bool) -> Cost:
    """The function that gives the cost of other points beside these (see the class)."""
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    distances = pairwise_distances(points)
    low, high = float(distances.min()), float(distances.max())
    heights = _heights(distances, low, high)

    def cost(others: np.ndarray) -> float:
        found = _heights(pairwise_distances(others), low, high)
        if of_heights:
            between = np.abs(np.sort(found) - np.sort(heights)).mean()
        else:
            between = np.abs(np.cumsum(found - heights)).sum() * (high - low) / BINS
        means = np.linalg.norm(others.mean(axis=0) - mean)
        return float(means + np.linalg.norm(others.std(axis=0) - deviation) + WEIGHT * between)

    return cost


def pairwise_distances(points: np.ndarray) -> np.ndarray:
    """The Euclidean distances of all pairs of different places (of N x D): N (N - 1) / 2."""
    products = points @ points.T
    squares = products.diagonal()
    first, second = np.triu_indices(len(points), 1)
    found: np.ndarray = np.sqrt(np.clip(squares[first] + squares[second] - 2 * products[first, second], 0, None))
    return found


def _heights(distances: np.ndarray, low: float, high: float) -> np.ndarray:
    counts = np.histogram(distances, bins=BINS, range=(low, high))[0]
    found: np.ndarray = counts / max(1, counts.sum())
    return found
