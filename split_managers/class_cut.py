"""What the class-disjoint split managers share: the test block, the names, and folds out of class blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from split_managers.contract import DatasetIndex, Fold, Indices, TestSet
from split_managers.verification import verify_folds

Classes = NDArray[np.int64]
"""Label values, in the order in which they are cut."""

Partition = Callable[[Classes, int, int], tuple[Classes, Classes]]
"""(classes without those of the test, number of partitions, partition) -> training and validation classes."""


@dataclass(frozen=True)
class ClassCut:
    """Settings of a class-disjoint split, checked; see the split managers for their meaning.

    Raises ValueError for settings that cannot work on any dataset.
    """

    test_size: float
    test_start_idx: float
    num_training_partitions: int
    num_training_sets: int
    hierarchy_level: int
    shuffle: bool
    random_seed: int | None

    def __post_init__(self) -> None:
        _require(_is_number(self.test_size) and 0 < self.test_size < 1, "test_size", "between 0 and 1", self.test_size)
        start = self.test_start_idx
        _require(_is_number(start) and 0 <= start < 1, "test_start_idx", "at least 0 and below 1", start)
        partitions, sets = self.num_training_partitions, self.num_training_sets
        _require(_is_int(partitions) and partitions >= 2, "num_training_partitions", "2 or more", partitions)
        at_most = f"1 to num_training_partitions ({partitions})"
        _require(_is_int(sets) and 1 <= sets <= partitions, "num_training_sets", at_most, sets)
        _require(_is_int(self.hierarchy_level), "hierarchy_level", "a whole number", self.hierarchy_level)
        _require(isinstance(self.shuffle, bool), "shuffle", "True or False", self.shuffle)
        seed = self.random_seed
        if self.shuffle:
            seeded = _is_int(seed) and seed is not None and seed >= 0
            _require(seeded, "random_seed", "a whole number of at least 0 (a shuffled split must be repeatable)", seed)
        else:
            _require(seed is None, "random_seed", "left out, or shuffle be True", seed)

    @property
    def scheme(self) -> str:
        """Test size and start in percent, and the number of partitions."""
        shuffled = "Shuffled" if self.shuffle else ""
        size, start = round(100 * self.test_size), round(100 * self.test_start_idx)
        return f"{shuffled}Test{size:02d}_{start:02d}_{shuffled}Partitions{self.num_training_partitions}"

    def make_folds(self, index: DatasetIndex, partition: Partition) -> list[Fold]:
        """The verified folds that ``partition`` makes of the classes outside of the test block."""
        labels = self._labels(index)
        test_classes, rest = self.test_and_rest(np.unique(labels))
        if len(rest) < self.num_training_partitions:
            partitions = self.num_training_partitions
            raise ValueError(f"{len(rest)} classes beside the test set are too few for {partitions} partitions")
        tests = {"test": TestSet(items_of(labels, test_classes))}
        folds = []
        for number in range(self.num_training_sets):
            train, val = partition(rest, self.num_training_partitions, number)
            folds.append(Fold(f"{self.scheme}_{number}", items_of(labels, train), items_of(labels, val), tests))
        verify_folds(folds, index, class_disjoint_level=self.hierarchy_level, val_disjoint=True)
        return folds

    def test_and_rest(self, classes: Classes) -> tuple[Classes, Classes]:
        """The test classes, and the rest in cyclic order from the end of the test block.

        Of n classes ``ceil(test_size * n)`` are test, from rank ``floor(test_start_idx * n)`` on,
        wrapping. Products within 1e-9 of a whole number count as that number. The published code
        agrees for a start of 0 or 0.5 and an even n; elsewhere its block starts somewhere else.
        """
        if self.shuffle:
            classes = np.random.default_rng(self.random_seed).permutation(classes)
        count = len(classes)
        size = ceil(round(self.test_size * count, 9))
        start = floor(round(self.test_start_idx * count, 9))
        rolled = np.roll(classes, -start)
        return rolled[:size], np.roll(classes, -start - size)[: count - size]

    def _labels(self, index: DatasetIndex) -> Classes:
        levels = index.labels.shape[1]
        if not 0 <= self.hierarchy_level < levels:
            raise ValueError(
                f"hierarchy_level {self.hierarchy_level} does not exist: the dataset has {levels}, from 0 on"
            )
        return index.labels[:, self.hierarchy_level]


def items_of(labels: NDArray[np.int64], classes: Classes) -> Indices:
    """The numbers of the items with one of the given labels, ascending."""
    return np.flatnonzero(np.isin(labels, classes))


def check_getter_keys(keys: Sequence[str]) -> None:
    """Refuse anything but the two names that old configs give; they have no effect."""
    if isinstance(keys, str) or len(keys) != 2 or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"data_and_label_getter_keys must be two names such as [data, label], not {keys!r}")


def _require(holds: bool, name: str, expected: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {expected}, not {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
