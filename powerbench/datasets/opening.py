"""From the config to a dataset and its folds."""

from __future__ import annotations

from pathlib import Path

from powerbench.classes import build
from powerbench.config.schema import ExperimentConfig
from powerbench.datasets.checking import check_images
from powerbench.datasets.contract import Dataset
from powerbench.datasets.image_files import checksums_kept_in
from powerbench.datasets.leaving_out import leaving_out
from powerbench.errors import UserError
from powerbench.jobs import Places
from split_managers.contract import DatasetIndex, Fold
from split_managers.verification import verify_folds


def open_dataset(config: ExperimentConfig, places: Places) -> Dataset:
    """The dataset of the config, without unreadable images if it says so (``skip_unreadable``).

    Raises UserError if it is missing, incomplete or cannot be built, or lacks a label level that is to be used.
    """
    with checksums_kept_in(Path(places.cache_dir) / "checksums"):
        dataset: Dataset = build("dataset", config.dataset, dataset_root=places.dataset_root)
    if not isinstance(getattr(dataset, "index", None), DatasetIndex):
        raise UserError("a dataset needs an `index` that is a split_managers.DatasetIndex", where=config.dataset.name)
    _refuse_absent_levels(config, dataset.index)
    return (
        leaving_out(dataset, check_images(dataset, places.cache_dir).unreadable) if config.skip_unreadable else dataset
    )


def _refuse_absent_levels(config: ExperimentConfig, index: DatasetIndex) -> None:
    levels = index.labels.shape[1]
    for where, used in (("trainer", config.trainer), ("tester", config.tester)):
        if used.label_hierarchy_level >= levels:
            what = (
                f"label_hierarchy_level {used.label_hierarchy_level} does not exist: {config.dataset.name} has "
                f"{levels} level{'s' if levels > 1 else ''} of labels, from 0 on."
            )
            raise UserError(what, where=where)


def open_folds(config: ExperimentConfig, dataset: Dataset) -> list[Fold]:
    """The verified folds that the config's split manager makes. Raises UserError if it cannot."""
    manager = build("split_manager", config.split_manager)
    try:
        folds: list[Fold] = manager.folds(dataset.index)
        verify_folds(folds, dataset.index)
    except ValueError as error:
        raise UserError(str(error), where=config.split_manager.name) from error
    return folds
