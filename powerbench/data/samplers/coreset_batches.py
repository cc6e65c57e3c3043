"""Batches around items that were selected for how their embeddings cover a random subset."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from powerbench.data.samplers.classes import as_batch, items_by_class, some_of, turns_per_batch
from powerbench.errors import UserError

Embed = Callable[[], np.ndarray]
"""The current embeddings of all items the sampler may draw: N x D, in order."""

Select = Callable[[np.ndarray, int, np.random.Generator], list[int]]
"""Points (N x D) -> the places of so many different ones."""


class CoresetBatches:
    """``batch_size / m`` anchors selected in a random subset of ``big_batch`` items, each followed by ``m - 1`` more.

    The items beside an anchor are random ones of its class, different from all of the batch if the class has enough.
    """

    def __init__(self, sampler: str, labels: np.ndarray, batch_size: int, m: int, big_batch: int) -> None:
        self._m, self._big_batch = m, big_batch
        self._anchors = turns_per_batch(sampler, batch_size, m)
        if big_batch < self._anchors:
            raise UserError(f"{sampler}: big_batch ({big_batch}) must be at least batch_size / m ({self._anchors})")
        self._sampler = sampler
        self._items = items_by_class(sampler, labels)
        self._class_of = np.unique(labels, return_inverse=True)[1]

    def made(self, n: int, generator: np.random.Generator, embed: Embed, select: Select) -> list[np.ndarray]:
        """``n`` batches, each with a subset of its own. Raises UserError if there are fewer items than anchors."""
        there = len(self._class_of)
        if there < self._anchors:
            raise UserError(f"{self._sampler}: {self._anchors} anchors a batch, but there are only {there} items")
        points = embed().astype(np.float64)
        batches = []
        for _ in range(n):
            subset = generator.choice(there, min(self._big_batch, there), replace=False)
            anchors = subset[select(points[subset], self._anchors, generator)]
            batches.append(self._completed(anchors, generator))
        return batches

    def _completed(self, anchors: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        taken = set(anchors.tolist())
        batch: list[int] = []
        for anchor in anchors.tolist():
            inside = self._items[self._class_of[anchor]]
            free = np.array([item for item in inside.tolist() if item not in taken], dtype=np.int64)
            more = some_of(free if len(free) >= self._m - 1 else inside, self._m - 1, generator)
            taken.update(more)
            batch += [anchor, *more]
        return as_batch(batch)


def squared_distances(points: np.ndarray, to: int) -> np.ndarray:
    """Squared Euclidean distances of all points (N x D) to one of them: N."""
    found: np.ndarray = ((points - points[to]) ** 2).sum(axis=1)
    return found
