"""Batches of classes that are alike, because they come from few super-classes."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np

from powerbench.data.samplers.classes import as_batch, items_by_class, turns_per_batch
from powerbench.data.samplers.shuffled_passes import ShuffledPasses
from powerbench.errors import UserError

MOST_COMBINATIONS = 10**5
"""Combinations of super-classes are listed, so there must not be too many."""


class HierarchicalSampler:
    """Each batch has equal shares of ``super_classes_per_batch`` super-classes, each share ``m`` items a class.

    Guarantees, for every plan: every batch is full; its super-classes are distinct; the combinations of
    super-classes come in shuffled passes over all combinations, the classes of a super-class in shuffled passes over
    its classes, and the items of a class in shuffled passes over its items. A super-class with too few classes for
    its share gives them more turns, a class with fewer than ``m`` items gives them again.

    labels: one label an item. batch_size: items a batch, a multiple of ``m * super_classes_per_batch``.
    label_levels: items x levels, the labels of all levels. super_level: the level that holds the super-classes (1:
    the first above the classes, as the twelve of Stanford Online Products).

    Source: Cakir et al., "Deep Metric Learning to Rank" (2019), as in pytorch-metric-learning, whose batches become
    smaller where a super-class has few classes, and which shuffles the items of a batch.
    """

    def __init__(
        self,
        labels: np.ndarray,
        batch_size: int,
        label_levels: np.ndarray,
        m: int = 4,
        super_classes_per_batch: int = 2,
        super_level: int = 1,
    ) -> None:
        if super_classes_per_batch < 1 or super_level < 0:
            raise UserError(
                "HierarchicalSampler: super_classes_per_batch must be at least 1, and super_level at least 0"
            )
        groups = turns_per_batch("HierarchicalSampler", batch_size, m)
        if groups % super_classes_per_batch:
            raise UserError(
                f"HierarchicalSampler: batch_size ({batch_size}) must be a multiple of m x super_classes_per_batch "
                f"({m} x {super_classes_per_batch})"
            )
        self._m, self._supers = m, super_classes_per_batch
        self._share = groups // super_classes_per_batch
        self._items = items_by_class("HierarchicalSampler", labels)
        self._levels, self._super_level = label_levels, super_level

    def plan(self, n: int, generator: np.random.Generator, embed: object = None) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a pure function of the generator's state.

        Raises UserError if the dataset has no such level, if a class lies in several super-classes, or if there are
        too few or too many super-classes.
        """
        members = self._classes_by_super()
        combinations = list(itertools.combinations(range(len(members)), self._supers))
        order = ShuffledPasses(np.arange(len(combinations)), generator)
        classes = [ShuffledPasses(inside, generator) for inside in members]
        items = [ShuffledPasses(inside, generator) for inside in self._items]
        batches = []
        for _ in range(n):
            batch: list[int] = []
            for place in combinations[order.take(1)[0]]:
                for label, turns in Counter(classes[place].take(self._share)).items():
                    batch += items[label].take(turns * self._m)
            batches.append(as_batch(batch))
        return batches

    def _classes_by_super(self) -> list[np.ndarray]:
        """The classes of each super-class."""
        if self._super_level >= self._levels.shape[1]:
            raise UserError(
                f"HierarchicalSampler: there is no label level {self._super_level}; the dataset has "
                f"{self._levels.shape[1]} (super-classes are usually level 1, classes level 0)"
            )
        column = self._levels[:, self._super_level]
        if any(len(np.unique(column[inside])) > 1 for inside in self._items):
            raise UserError(f"HierarchicalSampler: level {self._super_level} cuts through classes; take a coarser one")
        supers = np.array([column[inside[0]] for inside in self._items])
        found = [np.flatnonzero(supers == label) for label in np.unique(supers)]
        if len(found) < self._supers or math.comb(len(found), self._supers) > MOST_COMBINATIONS:
            raise UserError(
                f"HierarchicalSampler: super_classes_per_batch is {self._supers}, but there are {len(found)} "
                "super-classes to combine"
            )
        return found
