"""A dataset without some of its items."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from powerbench.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

    from powerbench.datasets.contract import Dataset


class _Rest:
    """What is left of a dataset. ``skipped``: the names of the items that are not."""

    def __init__(self, dataset: Dataset, left_out: Collection[int]) -> None:
        index = dataset.index
        kept = np.setdiff1d(np.arange(len(index)), np.array(sorted(left_out), dtype=np.int64))
        if not len(kept):
            raise UserError("no image of the dataset can be read.")
        self._dataset, self._kept = dataset, kept.tolist()
        self.skipped = tuple(index.item_names[item] for item in sorted(left_out))
        self.layout = getattr(dataset, "layout", "")
        self.index = replace(
            index,
            labels=index.labels[kept],
            item_names=tuple(index.item_names[item] for item in self._kept),
            roles=None if index.roles is None else tuple(index.roles[item] for item in self._kept),
        )
        text = "\n".join((dataset.checksum, *self.skipped))
        self.checksum = hashlib.sha256(text.encode()).hexdigest() if self.skipped else dataset.checksum

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB."""
        return self._dataset.image(self._kept[item])


def leaving_out(dataset: Dataset, items: Collection[int]) -> Dataset:
    """The dataset without ``items``; its checksum and ``skipped`` (names) say so. UserError if none is left."""
    return _Rest(dataset, items)
