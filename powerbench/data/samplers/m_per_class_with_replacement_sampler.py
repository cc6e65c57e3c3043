"""Batches of a few classes with a few items each, every batch drawn afresh."""

from __future__ import annotations

import numpy as np

from powerbench.data.samplers.classes import as_batch, items_by_class, some_of, turns_per_batch
from powerbench.errors import UserError


class MPerClassWithReplacementSampler:
    """Each batch holds ``batch_size / m`` distinct classes with ``m`` items of each, as published.

    A batch knows nothing of those before it: in an epoch some items and classes come often and some never (of 5900
    items in 5900 draws, two thirds are seen). The items of a class in a batch are distinct if it has enough, else
    drawn with replacement. :class:`MPerClassSampler` makes true epochs.

    labels: one label an item. batch_size: items a batch, a multiple of ``m``.

    Source: MPerClassSampler of pytorch-metric-learning 2.9, used by powerful-benchmarker.
    """

    def __init__(self, labels: np.ndarray, batch_size: int, m: int = 4) -> None:
        self._m = m
        self._classes_per_batch = turns_per_batch("MPerClassWithReplacementSampler", batch_size, m)
        self._items = items_by_class("MPerClassWithReplacementSampler", labels)

    def plan(self, n: int, generator: np.random.Generator, embed: object = None) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a pure function of the generator's state.

        Raises UserError if there are fewer classes than a batch needs, as the library does.
        """
        count = self._classes_per_batch
        if len(self._items) < count:
            raise UserError(
                f"MPerClassWithReplacementSampler: a batch with m = {self._m} needs {count} classes, but there "
                f"are {len(self._items)}; use a larger m, smaller batches, or MPerClassSampler"
            )
        batches = []
        for _ in range(n):
            classes = generator.choice(len(self._items), count, replace=False)
            batches.append(as_batch([i for c in classes for i in some_of(self._items[c], self._m, generator)]))
        return batches
