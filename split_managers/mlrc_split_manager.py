"""The cross-validation of "A Metric Learning Reality Check"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from split_managers.class_cut import ClassCut, Classes, check_getter_keys
from split_managers.contract import DatasetIndex, Fold, SplitManager


class MLRCSplitManager:
    """Class-disjoint folds with validation sets of equal size, as the published benchmark cut them.

    Of m classes outside of the test block, every fold validates on ``m // partitions``. Fold p
    trains on the classes from rank ``p * m // partitions`` on, wrapping around, and validates on
    those that follow. Where the cut is uneven a few classes validate no fold.

    The arguments are those of ClassDisjointSplitManager.

    Source: Musgrave et al. 2020; powerful-benchmarker 0.9.32, whose code is right only for a
    ``test_size`` of 0.5 and an even number of classes. There the result here is the same.
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
        return self._cut.make_folds(index, rotating_partition)


def rotating_partition(classes: Classes, partitions: int, number: int) -> tuple[Classes, Classes]:
    """The classes rotated so that training starts at its rank, cut where validation starts."""
    count = len(classes)
    rotated = np.roll(classes, -(number * count // partitions))
    return rotated[: count - count // partitions], rotated[count - count // partitions :]
