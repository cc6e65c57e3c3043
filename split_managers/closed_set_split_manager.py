"""Cross-validation in which every class is in every part."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from split_managers.class_cut import (
    check_getter_keys,
    check_partitions,
    check_share,
    is_int,
    is_number,
    level_of,
    require,
    tests_and_rest_of,
)
from split_managers.contract import DatasetIndex, Fold, Indices, SplitManager, TestSet
from split_managers.verification import verify_folds


class ClosedSetSplitManager:
    """Stratified parts: of each class, the same share of its items (to within one) in the test and in every block.

    Fold i validates on block i of what is not test and trains on the other blocks. Which items these are is drawn at
    random, always, as in the published code.

    test_size: the share of the test.
    num_training_partitions, num_training_sets: number of blocks, and of folds to make.
    hierarchy_level: the level of the classes. random_seed: another seed is another split.
    helper_split_manager: another split manager that supplies the test set; what it leaves is cut here.
    test_start_idx, shuffle, data_and_label_getter_keys: accepted for old configs, without effect.

    Source: powerful-benchmarker 0.9.32 (scikit-learn's stratified cuts, with a fixed seed here).
    """

    def __init__(
        self,
        test_size: float = 0.5,
        test_start_idx: float = 0.5,
        num_training_partitions: int = 4,
        num_training_sets: int = 4,
        hierarchy_level: int = 0,
        data_and_label_getter_keys: Sequence[str] = ("data", "label"),
        shuffle: bool = True,
        random_seed: int = 0,
        helper_split_manager: SplitManager | None = None,
    ) -> None:
        check_getter_keys(data_and_label_getter_keys)
        check_share(test_size, "test_size")
        require(is_number(test_start_idx), "test_start_idx", "a number", test_start_idx)
        check_partitions(num_training_partitions, num_training_sets)
        require(is_int(hierarchy_level), "hierarchy_level", "a whole number", hierarchy_level)
        require(isinstance(shuffle, bool), "shuffle", "True or False", shuffle)
        require(is_int(random_seed) and random_seed >= 0, "random_seed", "a whole number of at least 0", random_seed)
        self._test_size, self._partitions, self._sets = test_size, num_training_partitions, num_training_sets
        self._level, self._seed, self._helper = hierarchy_level, random_seed, helper_split_manager

    @property
    def scheme(self) -> str:
        """The stem of the folds' names, e.g. ``ClosedSetTest50_Partitions4``."""
        test = self._helper.scheme if self._helper else f"Test{round(100 * self._test_size):02d}"
        return f"ClosedSet{test}_Partitions{self._partitions}"

    @property
    def fold_count(self) -> int:
        """How many folds there will be."""
        return self._sets

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The folds; ValueError if a part would be empty."""
        labels = level_of(index, self._level)
        if self._helper is None:
            order = shuffled_by_class(labels, np.arange(len(index)), self._seed)
            test = stratified_share(labels[order], self._test_size)
            tests, rest = {"test": TestSet(np.sort(order[test]))}, order[~test]
        else:
            found, usable = tests_and_rest_of(self._helper, index)
            tests, rest = dict(found), shuffled_by_class(labels, usable, self._seed)
        block = np.arange(len(rest)) % self._partitions  # neighbours of a class go to different blocks
        folds = [
            Fold(f"{self.scheme}_{number}", np.sort(rest[block != number]), np.sort(rest[block == number]), tests)
            for number in range(self._sets)
        ]
        verify_folds(folds, index, val_disjoint=True)
        return folds


def shuffled_by_class(labels: NDArray[np.int64], items: Indices, seed: int) -> Indices:
    """The items class by class, those of a class in random order."""
    drawn = np.random.default_rng(seed).permutation(items)
    return drawn[np.argsort(labels[drawn], kind="stable")]


def stratified_share(labels: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Which items of a list sorted by class are taken: each class's share to within one, in all ``ceil(share * n)``.

    Classes are rounded up in the order of what rounding down would cost them, the first of equals first.
    """
    starts, counts = np.unique(labels, return_index=True, return_counts=True)[1:]
    exact = np.array([round(share * int(count), 9) for count in counts])
    taken = np.array([floor(value) for value in exact])
    missing = ceil(round(share * len(labels), 9)) - int(taken.sum())
    taken[np.argsort(taken - exact, kind="stable")[:missing]] += 1
    chosen = np.zeros(len(labels), dtype=bool)
    for start, count in zip(starts, taken, strict=True):
        chosen[start : start + count] = True
    return chosen
