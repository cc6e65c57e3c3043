"""Batches of a few classes with a few items each."""

from __future__ import annotations

from collections import Counter

import numpy as np

from powerbench.data.samplers.shuffled_passes import ShuffledPasses
from powerbench.errors import UserError


class MPerClassSampler:
    """Each batch holds ``batch_size / m`` classes with ``m`` items of each, class by class.

    Classes come in shuffled passes over all classes, and so do the items within a class: in the
    long run every class is drawn equally often, and every item as often as its class allows. The
    classes of a batch are distinct if there are enough; otherwise their numbers of turns in the
    batch differ by one at most. The items of a class in a batch are distinct if it has enough;
    a class with fewer gives every item once, and then again.

    labels: one label an item. batch_size: items a batch, a multiple of ``m``.
    length_before_new_iter: the length of a pass in powerful-benchmarker (a number, or
    ``dataset_length``); here the loop asks for the batches of an epoch, so it has no effect.

    Source: pytorch-metric-learning's sampler of that name, which draws classes afresh for each batch.
    """

    def __init__(
        self, labels: np.ndarray, batch_size: int, m: int = 4, length_before_new_iter: int | str | None = None
    ) -> None:
        if m < 1 or batch_size < 1 or batch_size % m:
            raise UserError(f"MPerClassSampler: batch_size ({batch_size}) must be a positive multiple of m ({m})")
        if isinstance(length_before_new_iter, str) and length_before_new_iter != "dataset_length":
            raise UserError(
                "MPerClassSampler: length_before_new_iter must be a number or dataset_length, "
                f"not {length_before_new_iter!r}"
            )
        if len(labels) == 0:
            raise UserError("MPerClassSampler: there are no items to draw from")
        self._m = m
        self._classes_per_batch = batch_size // m
        _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        self._items = np.split(np.argsort(classes, kind="stable"), np.cumsum(sizes)[:-1])

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
            batches.append(np.array(batch, dtype=np.int64))
        return batches
