"""From the index of a dataset to cross-validation folds. Needs numpy only; imports nothing of powerbench."""

from split_managers.contract import DatasetIndex, Fold, SplitManager, TestSet

__all__ = ["DatasetIndex", "Fold", "SplitManager", "TestSet"]
