"""Cross-validation over items in their order, whatever their classes."""

from __future__ import annotations

from collections.abc import Sequence

from split_managers.class_cut import ClassCut, check_getter_keys
from split_managers.class_disjoint_split_manager import block_partition
from split_managers.contract import DatasetIndex, Fold, SplitManager


class IndexSplitManager:
    """The items are cut as ClassDisjointSplitManager cuts classes: a test block, then k blocks to validate on.

    The parts of a fold share classes. The arguments are those of ClassDisjointSplitManager; ``hierarchy_level`` and
    ``data_and_label_getter_keys`` are accepted for old configs, without effect.

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
        """The stem of the folds' names, e.g. ``IndexTest50_50_Partitions4``."""
        return f"Index{self._cut.scheme}"

    @property
    def fold_count(self) -> int:
        """How many folds there will be."""
        return self._cut.num_training_sets

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The folds; ValueError if the dataset has too few items."""
        folds = self._cut.make_folds(index, block_partition, of_items=True)
        return [Fold(f"Index{fold.name}", fold.train, fold.val, fold.tests) for fold in folds]
