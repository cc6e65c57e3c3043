"""Batches without regard to classes."""

from __future__ import annotations

import numpy as np

from powerbench.data.samplers.shuffled_passes import ShuffledPasses
from powerbench.errors import UserError


class RandomSampler:
    """Batches cut from shuffled passes over all items; the items of a batch are distinct if there are enough.

    labels: one label an item. batch_size: items a batch.
    """

    def __init__(self, labels: np.ndarray, batch_size: int) -> None:
        if batch_size < 1:
            raise UserError(f"RandomSampler: batch_size must be at least 1, not {batch_size}")
        if len(labels) == 0:
            raise UserError("RandomSampler: there are no items to draw from")
        self._count = len(labels)
        self._batch_size = batch_size

    def plan(self, n: int, generator: np.random.Generator, embed: object = None) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a pure function of the generator's state."""
        items = ShuffledPasses(np.arange(self._count), generator)
        return [np.array(items.take(self._batch_size), dtype=np.int64) for _ in range(n)]
