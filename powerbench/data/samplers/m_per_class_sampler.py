"""Batches of a few classes with a few items each."""

from __future__ import annotations

from collections import Counter

import numpy as np

from powerbench.data.samplers.classes import as_batch, items_by_class, turns_per_batch
from powerbench.data.samplers.shuffled_passes import ShuffledPasses
from powerbench.errors import UserError


class MPerClassSampler:
    """Each batch holds ``batch_size / m`` classes with ``m`` items of each, class by class, in true epochs.

    Guarantees, for every plan (an epoch's batches):

    - every batch is full. Its classes are distinct if there are enough; otherwise their numbers of turns in the
      batch differ by one at most. The items of a class in a batch are distinct if it has enough; a class with
      fewer gives every item once, and then again;
    - classes come in shuffled passes over all classes: at any moment their numbers of turns differ by one at most;
    - so do the items within a class: a class of s items has shown all of them after ceil(s / m) turns, and no item
      a second time before. So ceil(ceil(largest s / m) * classes / (batch_size / m)) batches show every item.

    labels: one label an item. batch_size: items a batch, a multiple of ``m``.
    length_before_new_iter: the length of a pass in powerful-benchmarker (a number, or
    ``dataset_length``); here the loop asks for the batches of an epoch, so it has no effect.

    Source: pytorch-metric-learning's sampler of that name, which draws classes afresh for each batch and so misses
    items and favours classes; :class:`MPerClassWithReplacementSampler` does that.
    """

    def __init__(
        self, labels: np.ndarray, batch_size: int, m: int = 4, length_before_new_iter: int | str | None = None
    ) -> None:
        if isinstance(length_before_new_iter, str) and length_before_new_iter != "dataset_length":
            raise UserError(
                "MPerClassSampler: length_before_new_iter must be a number or dataset_length, "
                f"not {length_before_new_iter!r}"
            )
        self._m = m
        self._classes_per_batch = turns_per_batch("MPerClassSampler", batch_size, m)
        self._items = items_by_class("MPerClassSampler", labels)

    def plan(self, n: int, generator: np.random.Generator, embed: object = None) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a pure function of the generator's state."""
        classes = ShuffledPasses(np.arange(len(self._items)), generator)
        items: dict[int, ShuffledPasses] = {}
        batches = []
        for _ in range(n):
            batch: list[int] = []
            for label, turns in Counter(classes.take(self._classes_per_batch)).items():
                if label not in items:
                    items[label] = ShuffledPasses(self._items[label], generator)
                batch += items[label].take(turns * self._m)
            batches.append(as_batch(batch))
        return batches
