"""What the class-disjoint split managers share: the test block, the names, and folds out of class blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from split_managers.contract import DatasetIndex, Fold, Indices, SplitManager, TestSet
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
    helper: SplitManager | None = None

    def __post_init__(self) -> None:
        check_share(self.test_size, "test_size")
        start = self.test_start_idx
        require(is_number(start) and 0 <= start < 1, "test_start_idx", "at least 0 and below 1", start)
        check_partitions(self.num_training_partitions, self.num_training_sets)
        require(is_int(self.hierarchy_level), "hierarchy_level", "a whole number", self.hierarchy_level)
        require(isinstance(self.shuffle, bool), "shuffle", "True or False", self.shuffle)
        seed = self.random_seed
        if self.shuffle:
            seeded = is_int(seed) and seed is not None and seed >= 0
            require(seeded, "random_seed", "a whole number of at least 0 (a shuffled split must be repeatable)", seed)
        else:
            require(seed is None, "random_seed", "left out, or shuffle be True", seed)

    @property
    def scheme(self) -> str:
        """Test size and start in percent (or the helper's scheme), and the number of partitions."""
        shuffled = "Shuffled" if self.shuffle else ""
        size, start = round(100 * self.test_size), round(100 * self.test_start_idx)
        test = self.helper.scheme if self.helper else f"{shuffled}Test{size:02d}_{start:02d}"
        return f"{test}_{shuffled}Partitions{self.num_training_partitions}"

    def make_folds(self, index: DatasetIndex, partition: Partition, *, of_items: bool = False) -> list[Fold]:
        """The verified folds that ``partition`` makes of what is outside of the test set.

        Cut are the classes, or, with ``of_items``, the items themselves. With a helper the test sets are its own, and
        what it trains and validates on is cut anew.
        """
        labels = np.arange(len(index)) if of_items else level_of(index, self.hierarchy_level)
        tests, usable, rest = self._tests_and_rest(index, labels)
        if len(rest) < self.num_training_partitions:
            partitions, what = self.num_training_partitions, "items" if of_items else "classes"
            raise ValueError(f"{len(rest)} {what} beside the test set are too few for {partitions} partitions")
        folds = []
        for number in range(self.num_training_sets):
            train, val = (
                usable[items_of(labels[usable], part)] for part in partition(rest, self.num_training_partitions, number)
            )
            folds.append(Fold(f"{self.scheme}_{number}", train, val, tests))
        disjoint = None if of_items or self.helper else self.hierarchy_level
        verify_folds(folds, index, class_disjoint_level=disjoint, val_disjoint=True)
        return folds

    def _tests_and_rest(self, index: DatasetIndex, labels: Classes) -> tuple[Mapping[str, TestSet], Indices, Classes]:
        """The test sets, the items that may be trained and validated on, and their classes in the order of cutting."""
        if self.helper is None:
            test_classes, rest = self.test_and_rest(np.unique(labels))
            return {"test": TestSet(items_of(labels, test_classes))}, np.arange(len(labels)), rest
        tests, usable = tests_and_rest_of(self.helper, index)
        return tests, usable, self._in_order(np.unique(labels[usable]))

    def _in_order(self, classes: Classes) -> Classes:
        return np.random.default_rng(self.random_seed).permutation(classes) if self.shuffle else classes

    def test_and_rest(self, classes: Classes) -> tuple[Classes, Classes]:
        """The test classes, and the rest in cyclic order from the end of the test block.

        Of n classes ``ceil(test_size * n)`` are test, from rank ``floor(test_start_idx * n)`` on,
        wrapping. Products within 1e-9 of a whole number count as that number. The published code
        agrees for a start of 0 or 0.5 and an even n; elsewhere its block starts somewhere else.
        """
        classes = self._in_order(classes)
        count = len(classes)
        size = ceil(round(self.test_size * count, 9))
        start = floor(round(self.test_start_idx * count, 9))
        rolled = np.roll(classes, -start)
        return rolled[:size], np.roll(classes, -start - size)[: count - size]


def tests_and_rest_of(helper: SplitManager, index: DatasetIndex) -> tuple[Mapping[str, TestSet], Indices]:
    """The test sets of a split manager, and all items that any of its folds trains or validates on."""
    folds = helper.folds(index)
    return folds[0].tests, np.unique(np.concatenate([part for fold in folds for part in (fold.train, fold.val)]))


def level_of(index: DatasetIndex, level: int) -> Classes:
    """The labels of a level; ValueError if there is none."""
    levels = index.labels.shape[1]
    if not 0 <= level < levels:
        raise ValueError(f"hierarchy_level {level} does not exist: the dataset has {levels}, from 0 on")
    return index.labels[:, level]


def items_of(labels: NDArray[np.int64], classes: Classes) -> Indices:
    """The numbers of the items with one of the given labels, ascending."""
    return np.flatnonzero(np.isin(labels, classes))


def check_share(value: float, name: str) -> None:
    """Refuse what is no share of a whole."""
    require(is_number(value) and 0 < value < 1, name, "between 0 and 1", value)


def check_partitions(partitions: int, sets: int) -> None:
    """Refuse what cannot be a number of blocks, and of folds to make of them."""
    require(is_int(partitions) and partitions >= 2, "num_training_partitions", "2 or more", partitions)
    at_most = f"1 to num_training_partitions ({partitions})"
    require(is_int(sets) and 1 <= sets <= partitions, "num_training_sets", at_most, sets)


def check_getter_keys(keys: Sequence[str]) -> None:
    """Refuse anything but the two names that old configs give; they have no effect."""
    if isinstance(keys, str) or len(keys) != 2 or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"data_and_label_getter_keys must be two names such as [data, label], not {keys!r}")


def require(holds: bool, name: str, expected: str, value: object) -> None:
    """Raise ValueError, saying what was expected, unless the condition holds."""
    if not holds:
        raise ValueError(f"{name} must be {expected}, not {value!r}")


def is_number(value: Any) -> bool:
    """Whether a value is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_int(value: Any) -> bool:
    """Whether a value is a whole number, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)
