"""Batches of single items of random classes, with at least one pair of a class."""

from __future__ import annotations

import numpy as np

from powerbench.data.samplers.classes import as_batch, items_by_class
from powerbench.errors import UserError


class FullRandomSampler:
    """Each batch is drawn item by item (a class, then one of its items, with replacement) and has a pair.

    The last item is one of the class of an earlier item, so that there is a positive pair (it may be the same item,
    as may any two). :class:`RandomSampler` passes over the items instead.

    labels: one label an item. batch_size: items a batch, at least 2.

    Source: the sampler ``full_random`` of the code of "Revisiting Training Strategies and Generalization
    Performance in Deep Metric Learning" (Roth et al., 2020).
    """

    def __init__(self, labels: np.ndarray, batch_size: int) -> None:
        if batch_size < 2:
            raise UserError(f"FullRandomSampler: batch_size must be at least 2, not {batch_size}")
        self._batch_size = batch_size
        self._items = items_by_class("FullRandomSampler", labels)

    def plan(self, n: int, generator: np.random.Generator, embed: object = None) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a pure function of the generator's state."""
        batches = []
        for _ in range(n):
            classes = generator.integers(len(self._items), size=self._batch_size)
            classes[-1] = classes[generator.integers(self._batch_size - 1)]
            batches.append(as_batch([generator.choice(self._items[c]) for c in classes]))
        return batches
