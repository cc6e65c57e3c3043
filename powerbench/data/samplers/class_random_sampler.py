"""Batches of classes and items that are both drawn with replacement."""

from __future__ import annotations

import numpy as np

from powerbench.data.samplers.classes import as_batch, items_by_class, turns_per_batch


class ClassRandomSampler:
    """Each batch is ``batch_size / m`` groups of ``m`` items of one class, everything drawn with replacement.

    A class may come more than once in a batch and so may an item, also within its group ("SPC-2" is ``m: 2``).
    Every class is drawn equally often on average, whatever its size. :class:`MPerClassSampler` has distinct
    classes and items.

    labels: one label an item. batch_size: items a batch, a multiple of ``m``.

    Source: "Revisiting Training Strategies and Generalization Performance in Deep Metric Learning" (Roth et al.,
    2020), ``class_random`` of its code; also that of Language Guidance, DiVA and ooDML.
    """

    def __init__(self, labels: np.ndarray, batch_size: int, m: int = 2) -> None:
        self._m = m
        self._groups = turns_per_batch("ClassRandomSampler", batch_size, m)
        self._items = items_by_class("ClassRandomSampler", labels)

    def plan(self, n: int, generator: np.random.Generator, embed: object = None) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a pure function of the generator's state."""
        return [self.draw(self._groups, generator) for _ in range(n)]

    def draw(self, groups: int, generator: np.random.Generator) -> np.ndarray:
        """So many groups of ``m`` items, one group after the other."""
        classes = generator.integers(len(self._items), size=groups)
        return as_batch([item for c in classes for item in generator.choice(self._items[c], self._m)])
