"""Batches of a few classes with a few items each, items class by class in shuffled order."""

from __future__ import annotations

import numpy as np

from powerbench.data.samplers.class_cursors import ClassCursors
from powerbench.data.samplers.classes import as_batch, items_by_class, turns_per_batch


class BalancedSampler:
    """Each batch holds ``batch_size / m`` classes with ``m`` items of each.

    Classes are drawn afresh for each batch, distinct if there are enough, else with replacement. Items come from
    each class's shuffled list (:class:`ClassCursors`); a class with fewer than ``m`` items repeats some.

    labels: one label an item. batch_size: items a batch, a multiple of ``m``.

    Source: ``balanced_old`` of Divide and Conquer (Sanakoyeu et al., 2021), whose epoch has so many batches as fit
    into N items, less the last where they fit exactly; here the loop or the method says how many.
    """

    def __init__(self, labels: np.ndarray, batch_size: int, m: int = 4) -> None:
        self._m = m
        self._classes_per_batch = turns_per_batch("BalancedSampler", batch_size, m)
        self._items = items_by_class("BalancedSampler", labels)

    def plan(self, n: int, generator: np.random.Generator, embed: object = None) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a pure function of the generator's state."""
        cursors = ClassCursors(self._items, generator)
        wanted, there = self._classes_per_batch, len(self._items)
        batches = []
        for _ in range(n):
            classes = generator.choice(there, wanted, replace=there < wanted)
            batches.append(as_batch([item for label in classes for item in cursors.take(label, self._m)]))
        return batches
