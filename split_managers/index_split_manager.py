"""Cross-validation over items in their order, whatever their classes."""

from __future__ import annotations

from dataclasses import replace

from split_managers.class_disjoint_split_manager import ClassDisjointSplitManager, block_partition
from split_managers.contract import DatasetIndex, Fold


class IndexSplitManager(ClassDisjointSplitManager):
    """The items are cut as ClassDisjointSplitManager cuts classes: a test block, then k blocks to validate on.

    The parts of a fold share classes. The arguments are those of ClassDisjointSplitManager; ``hierarchy_level`` and
    ``data_and_label_getter_keys`` are accepted for old configs, without effect.

    Source: powerful-benchmarker 0.9.32. There the test block begins at ``test_start_idx`` only for 0 and 0.5.
    """

    @property
    def scheme(self) -> str:
        """The stem of the folds' names, e.g. ``IndexTest50_50_Partitions4``."""
        return f"Index{super().scheme}"

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The folds; ValueError if the dataset has too few items."""
        folds = self._cut.make_folds(index, block_partition, of_items=True)
        return [replace(fold, name=f"Index{fold.name}") for fold in folds]
