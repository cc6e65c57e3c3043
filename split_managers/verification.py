"""What a set of folds promises, checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from split_managers.contract import DatasetIndex, Fold


def verify_folds(
    folds: Sequence[Fold], index: DatasetIndex, *, class_disjoint_level: int | None = None, val_disjoint: bool = False
) -> None:
    """Raise ValueError unless the folds keep what their split manager promises.

    Always: each fold is sound in itself (:meth:`Fold.verify`), names differ, the test sets are the
    same in all folds, and no two folds train on the same items. With ``class_disjoint_level`` the
    parts of a fold share no class of that level; with ``val_disjoint`` no item validates two folds.
    """
    if not folds:
        raise ValueError("a split needs at least one fold")
    for fold in folds:
        fold.verify(index, class_disjoint_level=class_disjoint_level)
    if len({fold.name for fold in folds}) != len(folds):
        raise ValueError("two folds have the same name")
    tests = {name: test.checksum() for name, test in folds[0].tests.items()}
    for fold in folds[1:]:
        if {name: test.checksum() for name, test in fold.tests.items()} != tests:
            raise ValueError(f"{fold.name} has other test sets than {folds[0].name}")
    if len({np.sort(fold.train).tobytes() for fold in folds}) != len(folds):
        raise ValueError("two folds train on the same items")
    if val_disjoint:
        validated = np.concatenate([fold.val for fold in folds])
        if len(np.unique(validated)) != len(validated):
            raise ValueError("an item is in the validation set of two folds")
