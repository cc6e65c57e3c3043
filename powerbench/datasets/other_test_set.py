"""Training on one dataset, testing on another."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from powerbench.datasets.contract import Dataset
from powerbench.datasets.image_files import single_level_index
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

if TYPE_CHECKING:
    from PIL import Image

TRAIN, TEST = "train", "test"
ROLES = {TRAIN: ("train", "val"), TEST: ("test", "query", "gallery")}


class OtherTestSet:
    """The training part of one dataset and the test part of another, for ``PredefinedSplitManager``.

    train_dataset, test_dataset: the two, written ``{Name: {argument: value}}``. A part is the published one; of a
    dataset that publishes none it is the first (training) or last (test) half of the classes, as metric learning cuts
    them. What is in neither part is left out. Classes of the two are different classes, even under the same name.

    Source: ooDML's ``--new_test_dataset`` (Milbich, Roth et al. 2021).
    """

    def __init__(self, train_dataset: Dataset, test_dataset: Dataset) -> None:
        datasets = {TRAIN: train_dataset, TEST: test_dataset}
        chosen = {part: _items(dataset.index, part) for part, dataset in datasets.items()}
        self._items = [(datasets[part], item) for part, items in chosen.items() for item in items]
        self.index = _joined([_part(datasets[part].index, part, items) for part, items in chosen.items()])
        self.layout = "; ".join(f"{part}: {getattr(data, 'layout', 'no files')}" for part, data in datasets.items())
        checksums = [train_dataset.checksum, test_dataset.checksum, self.index.checksum()]
        self.checksum = hashlib.sha256("\n".join(checksums).encode()).hexdigest()
        files: dict[Dataset, list[Path]] = {data: data.files for data in datasets.values() if hasattr(data, "files")}
        if len(files) == len(set(datasets.values())):
            self.files = [files[dataset][item] for dataset, item in self._items]

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if it cannot be decoded."""
        dataset, own = self._items[item]
        return dataset.image(own)


def _items(index: DatasetIndex, part: str) -> list[int]:
    """The items of a part, in their order; UserError if there are none."""
    if index.roles is not None:
        chosen = [item for item, role in enumerate(index.roles) if role in ROLES[part]]
    else:
        classes = np.unique(index.labels[:, 0])
        middle = len(classes) // 2
        half = classes[:middle] if part == TRAIN else classes[middle:]
        chosen = np.flatnonzero(np.isin(index.labels[:, 0], half)).tolist()
    if not chosen:
        raise UserError(f"{part}_dataset has no part to {part} on.", where=f"OtherTestSet/{part}_dataset")
    return chosen


def _part(index: DatasetIndex, part: str, items: list[int]) -> DatasetIndex:
    """The index of these items, of the classes that are left of level 0."""
    present, labels = np.unique(index.labels[items, 0], return_inverse=True)
    return single_level_index(
        [index.class_names[0][label] for label in present],
        labels.tolist(),
        [f"{part}/{index.item_names[item]}" for item in items],
        roles=[part if index.roles is None else index.roles[item] for item in items],
    )


def _joined(parts: list[DatasetIndex]) -> DatasetIndex:
    """One index of both, the classes of the second behind those of the first."""
    first, second = parts
    labels = [*first.labels[:, 0].tolist(), *(second.labels[:, 0] + len(first.class_names[0])).tolist()]
    return single_level_index(
        first.class_names[0] + second.class_names[0],
        labels,
        first.item_names + second.item_names,
        roles=[role for part in parts for role in part.roles or ()],
    )
