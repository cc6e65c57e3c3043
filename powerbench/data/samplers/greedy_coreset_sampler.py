"""Batches whose anchors cover the embedding space: k-centre greedy."""

from __future__ import annotations

import numpy as np

from powerbench.data.samplers.coreset_batches import CoresetBatches, Embed, squared_distances

SOFT_PERCENTILE = 97


class GreedyCoresetSampler:
    """Each batch: ``batch_size / m`` anchors far apart, each with ``m - 1`` more items of its class beside it.

    The anchors are selected greedily in a random subset of ``big_batch`` items: the first at random, then always the
    item farthest (squared Euclidean) from those selected; ties go to the first. They are different items, perhaps of
    the same class. ``softened``: any item at or above the 97th percentile of that distance, at random. Embeddings
    are computed anew for each plan (an epoch's batches).

    labels: one label an item. batch_size: items a batch, a multiple of ``m``.

    Source: ``greedy_coreset`` of "Revisiting Training Strategies and Generalization Performance in Deep Metric
    Learning" (Roth et al., 2020), after Sinha et al., "Small-GAN" (2019). The published code selects in one subset
    and takes the items from another, so that its anchors are random; here they are those selected.
    """

    def __init__(
        self, labels: np.ndarray, batch_size: int, m: int = 2, big_batch: int = 512, softened: bool = False
    ) -> None:
        self._softened = softened
        self._batches = CoresetBatches("GreedyCoresetSampler", labels, batch_size, m, big_batch)

    def plan(self, n: int, generator: np.random.Generator, embed: Embed) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a function of the generator and the embeddings."""
        return self._batches.made(n, generator, embed, self._select)

    def _select(self, points: np.ndarray, count: int, generator: np.random.Generator) -> list[int]:
        return greedy_coreset(
            points, count, int(generator.integers(len(points))), generator if self._softened else None
        )


def greedy_coreset(points: np.ndarray, count: int, start: int, softly: np.random.Generator | None = None) -> list[int]:
    """The places of ``count`` different points (of N x D) by k-centre greedy from ``start``.

    softly: select with it among those at or above the 97th percentile of the distance, not the farthest.
    """
    selected = [start]
    distances = squared_distances(points, start)
    while len(selected) < count:
        distances[selected] = -np.inf  # also where others lie at distance 0
        if softly is None:
            following = int(np.argmax(distances))
        else:
            free = np.flatnonzero(np.isfinite(distances))
            limit = np.percentile(np.maximum(distances, 0), SOFT_PERCENTILE)
            following = int(softly.choice(free[distances[free] >= limit]))
        selected.append(following)
        distances = np.minimum(distances, squared_distances(points, following))
    return selected
