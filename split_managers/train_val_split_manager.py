"""One training and one validation part, cut by a fraction."""

from __future__ import annotations

import numpy as np

from split_managers.class_cut import ClassCut, items_of, level_of, tests_and_rest_of
from split_managers.contract import DatasetIndex, Fold, SplitManager, TestSet
from split_managers.train_val_cut import TrainValCut
from split_managers.verification import verify_folds


class TrainValSplitManager:
    """A single fold: of the classes that are not test, the first ``tv_split_perc`` train and the others validate.

    use_tv_split: True; without a validation part nothing could be chosen fairly.
    tv_split_perc, tv_split_by_samples, tv_split_within: see ``TrainValCut`` (``within_level``).
    test_size, test_start_idx: the test block of classes, as in ClassDisjointSplitManager.
    hierarchy_level: the label level of the classes. shuffle, random_seed: permute before cutting.
    helper_split_manager: another split manager that supplies the test set.

    Source: Revisiting DML (Roth et al. 2020), whose test classes are the last half.
    """

    def __init__(
        self,
        use_tv_split: bool = True,
        tv_split_perc: float = 0.8,
        tv_split_by_samples: bool = False,
        tv_split_within: int | None = None,
        test_size: float = 0.5,
        test_start_idx: float = 0.5,
        hierarchy_level: int = 0,
        shuffle: bool = False,
        random_seed: int = 0,
        helper_split_manager: SplitManager | None = None,
    ) -> None:
        if use_tv_split is not True:
            raise ValueError("use_tv_split must be True: the epoch and the trial are chosen on a validation part")
        self._cut = TrainValCut(
            tv_split_perc, tv_split_by_samples, tv_split_within, hierarchy_level, shuffle, random_seed
        )
        self._test = ClassCut(test_size, test_start_idx, 2, 1, hierarchy_level, False, None)
        self._helper = helper_split_manager

    @property
    def scheme(self) -> str:
        """The stem of the fold's name, e.g. ``Test50_50_TrainVal80``."""
        test = self._helper.scheme if self._helper else self._test.scheme.rpartition("_")[0]
        return f"{test}_{self._cut.name}"

    @property
    def fold_count(self) -> int:
        """One."""
        return 1

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The fold; ValueError if the dataset has too few classes."""
        if self._helper is None:
            labels = level_of(index, self._cut.hierarchy_level)
            test, rest = self._test.test_and_rest(np.unique(labels))
            tests, usable = {"test": TestSet(items_of(labels, test))}, items_of(labels, rest)
        else:
            found, usable = tests_and_rest_of(self._helper, index)
            tests = dict(found)
        folds = [Fold(f"{self.scheme}_0", *self._cut.cut(index, usable), tests)]
        disjoint = None if self._cut.by_samples or self._helper else self._cut.hierarchy_level
        verify_folds(folds, index, class_disjoint_level=disjoint)
        return folds
