"""Training on one dataset, testing on another."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from powerbench.datasets.contract import Dataset
from powerbench.datasets.image_files import single_level_index
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

if TYPE_CHECKING:
    from PIL import Image

TRAINED, TESTED = ("train", "val"), ("test", "query", "gallery")


class OtherTestSet:
    """The training part of one dataset and the test part of another, for ``PredefinedSplitManager``.

    train_dataset, test_dataset: the two, written ``{Name: {argument: value}}``. A part is the published one; of a
    dataset that publishes none it is the first (training) or last (test) half of the classes, as metric learning cuts
    them. What is in neither part is left out. Classes of the two are different classes, even under the same name.

    Source: ooDML's ``--new_test_dataset`` (Milbich, Roth et al. 2021).
    """

    def __init__(self, train_dataset: Dataset, test_dataset: Dataset) -> None:
        parts = ((train_dataset, "train", TRAINED), (test_dataset, "test", TESTED))
        self._items: list[tuple[Dataset, int]] = []
        classes: list[str] = []
        labels: list[int] = []
        names: list[str] = []
        roles: list[str] = []
        for dataset, part, wanted in parts:
            chosen = _roles(dataset.index, part, wanted)
            if not chosen:
                raise UserError(f"{part}_dataset has no part to {part} on.", where=f"OtherTestSet/{part}_dataset")
            own = dataset.index.labels[list(chosen), 0]
            present = np.unique(own)
            labels += (len(classes) + np.searchsorted(present, own)).tolist()
            classes += [dataset.index.class_names[0][label] for label in present]
            names += [f"{part}/{dataset.index.item_names[item]}" for item in chosen]
            roles += chosen.values()
            self._items += [(dataset, item) for item in chosen]
        self.index = single_level_index(classes, labels, names, roles=roles)
        layouts = (f"{part}: {getattr(dataset, 'layout', 'not read from files')}" for dataset, part, _ in parts)
        self.layout = "; ".join(layouts)
        checksums = "\n".join(dataset.checksum for dataset, _, _ in parts)
        self.checksum = hashlib.sha256(f"{checksums}\n{self.index.checksum()}".encode()).hexdigest()
        files: list[list[Path] | None] = [getattr(dataset, "files", None) for dataset, _, _ in parts]
        if None not in files:
            self.files = [dataset.files[item] for dataset, item in self._items]  # type: ignore[attr-defined]

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if it cannot be decoded."""
        dataset, own = self._items[item]
        return dataset.image(own)


def _roles(index: DatasetIndex, part: str, wanted: Collection[str]) -> dict[int, str]:
    """The items of a part, in their order, and the role of each."""
    if index.roles is not None:
        return {item: role for item, role in enumerate(index.roles) if role in wanted and role is not None}
    classes = np.unique(index.labels[:, 0])
    half = classes[: len(classes) // 2] if part == "train" else classes[len(classes) // 2 :]
    return dict.fromkeys(np.flatnonzero(np.isin(index.labels[:, 0], half)).tolist(), part)
