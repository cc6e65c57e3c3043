"""Folds that train on fewer classes."""

from __future__ import annotations

from dataclasses import replace
from math import floor

import numpy as np

from split_managers.class_cut import is_int, is_number, items_of, level_of, require
from split_managers.class_disjoint_split_manager import ClassDisjointSplitManager
from split_managers.contract import DatasetIndex, Fold, SplitManager
from split_managers.verification import verify_folds


class ShareOfClassesSplitManager:
    """The folds of another split manager, with a share of their training classes.

    ratio_classes: of a fold's n training classes ``int(n * ratio_classes)`` are kept, evenly spaced in the order of
    their labels (the first ones would be the same in several folds); the validation part and the test sets stay.
    helper_split_manager: whose folds; by default those of ClassDisjointSplitManager.
    hierarchy_level: the label level of the classes.

    Source: Divide and Conquer's ``--ratio-classes`` (Sanakoyeu et al.).
    """

    def __init__(
        self,
        ratio_classes: float = 1.0,
        helper_split_manager: SplitManager | None = None,
        hierarchy_level: int = 0,
    ) -> None:
        share = is_number(ratio_classes) and 0 < ratio_classes <= 1
        require(share, "ratio_classes", "above 0 and at most 1", ratio_classes)
        require(is_int(hierarchy_level), "hierarchy_level", "a whole number", hierarchy_level)
        self._share, self._level = ratio_classes, hierarchy_level
        self._helper = helper_split_manager or ClassDisjointSplitManager()

    @property
    def scheme(self) -> str:
        """The stem of the folds' names, e.g. ``Classes50_Test50_50_Partitions4``."""
        return f"Classes{round(100 * self._share):02d}_{self._helper.scheme}"

    @property
    def fold_count(self) -> int | None:
        """How many folds there will be, if the helper tells."""
        return getattr(self._helper, "fold_count", None)

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The folds; ValueError if no class is left to train on."""
        labels = level_of(index, self._level)
        folds = []
        for number, fold in enumerate(self._helper.folds(index)):
            classes = np.unique(labels[fold.train])
            count = floor(round(self._share * len(classes), 9))
            kept = classes[np.arange(count) * (len(classes) - 1) // max(count - 1, 1)]
            train = fold.train[items_of(labels[fold.train], kept)]
            folds.append(replace(fold, name=f"{self.scheme}_{number}", train=train))
        verify_folds(folds, index)
        return folds
