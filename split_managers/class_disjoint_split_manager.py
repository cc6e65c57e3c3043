"""Class-disjoint cross-validation as scikit-learn's KFold cuts it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from split_managers.class_cut import ClassCut, Classes, check_getter_keys
from split_managers.contract import DatasetIndex, Fold, SplitManager


class ClassDisjointSplitManager:
    """A block of classes is the test set; the others are cut into consecutive validation blocks.

    Classes are taken in the order of their labels. Fold i validates on block i and trains on all
    other blocks; the first blocks are one class larger where the cut is uneven (scikit-learn's KFold).

    test_size, test_start_idx: size and start of the test block, as fractions of the classes; it wraps around.
    num_training_partitions, num_training_sets: number of blocks; how many of the folds to make.
    hierarchy_level: the label level whose classes are cut.
    data_and_label_getter_keys: accepted for old configs, without effect.
    shuffle, random_seed: permute the classes first.
    helper_split_manager: another split manager that supplies the test set (``test_size`` and ``test_start_idx`` have
    no effect then); what it leaves is cut here.

    Source: powerful-benchmarker 0.9.32. There the test block begins at ``test_start_idx`` only for 0 and 0.5.
    """

    def __init__(
        self,
        test_size: float = 0.5,
        test_start_idx: float = 0.5,
        num_training_partitions: int = 4,
        num_training_sets: int = 4,
        hierarchy_level: int = 0,
        data_and_label_getter_keys: Sequence[str] = ("data", "label"),
        shuffle: bool = False,
        random_seed: int | None = None,
        helper_split_manager: SplitManager | None = None,
    ) -> None:
        check_getter_keys(data_and_label_getter_keys)
        self._cut = ClassCut(
            test_size,
            test_start_idx,
            num_training_partitions,
            num_training_sets,
            hierarchy_level,
            shuffle,
            random_seed,
            helper_split_manager,
        )

    @property
    def scheme(self) -> str:
        """The stem of the folds' names, e.g. ``Test50_50_Partitions4``."""
        return self._cut.scheme

    @property
    def fold_count(self) -> int:
        """How many folds there will be."""
        return self._cut.num_training_sets

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The folds; ValueError if the dataset has too few classes."""
        return self._cut.make_folds(index, block_partition)


def block_partition(classes: Classes, partitions: int, number: int) -> tuple[Classes, Classes]:
    """All classes but those of block ``number``, and those of the block."""
    blocks = np.array_split(classes, partitions)
    return np.concatenate(blocks[:number] + blocks[number + 1 :]), blocks[number]
