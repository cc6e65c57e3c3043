"""The cross-validation of "A Metric Learning Reality Check"."""

from __future__ import annotations

import numpy as np

from split_managers.class_cut import Classes
from split_managers.class_disjoint_split_manager import ClassDisjointSplitManager
from split_managers.contract import DatasetIndex, Fold


class MLRCSplitManager(ClassDisjointSplitManager):
    """Class-disjoint folds with validation sets of equal size, as the published benchmark cut them.

    Of m classes outside of the test block, every fold validates on ``m // partitions``. Fold p
    trains on the classes from rank ``p * m // partitions`` on, wrapping around, and validates on
    those that follow. Where the cut is uneven a few classes validate no fold.

    The arguments are those of ClassDisjointSplitManager.

    Source: Musgrave et al. 2020; powerful-benchmarker 0.9.32, whose code is right only for a
    ``test_size`` of 0.5 and an even number of classes. There the result here is the same.
    """

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The folds; ValueError if the dataset has too few classes."""
        return self._cut.make_folds(index, rotating_partition)


def rotating_partition(classes: Classes, partitions: int, number: int) -> tuple[Classes, Classes]:
    """The classes rotated so that training starts at its rank, cut where validation starts."""
    count = len(classes)
    rotated = np.roll(classes, -(number * count // partitions))
    return rotated[: count - count // partitions], rotated[count - count // partitions :]
