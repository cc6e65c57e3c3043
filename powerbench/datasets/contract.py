"""What a dataset is to the rest of powerbench."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from split_managers.contract import DatasetIndex


class Dataset(Protocol):
    """Items with labels. Build: ``Name(root=..., **own_arguments, dataset_root=...)``.

    index: labels and names of all items, in item order.
    checksum: SHA-256 that changes when items are added, removed, replaced or relabelled.

    It may also have

    files: the file of each item, which lets images be checked without decoding them;
    layout: what was found, and where, in words;
    find: a method of the class that says where the dataset lies below a folder, or None.

    A published dataset has all of it from :class:`powerbench.datasets.published.PublishedDataset`.

    Building raises UserError if the data are missing, incomplete or not what they should be.
    """

    index: DatasetIndex
    checksum: str

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB. Safe to call from several threads and processes.

        Raises UserError, naming the file, if it cannot be decoded.
        """
