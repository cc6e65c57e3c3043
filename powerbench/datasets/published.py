"""What all published datasets of image files share: one more is a class with these three parts of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from powerbench.datasets.image_files import decode_image, files_checksum, listed_files
from powerbench.datasets.locating import Layout, Publication, locate, require_counts
from split_managers.contract import DatasetIndex

if TYPE_CHECKING:
    from PIL import Image


class PublishedDataset(ABC):
    """A dataset in the folders in which it is passed on.

    root: the folder that holds one of ``publication.layouts`` (or is one); by default ``dataset_root``, the command
    line's.
    download: get and unpack the archive if no layout is found. An archive that lies in the root already is used
    before any network source. sources: further addresses, tried first (an address, or ``{url: ..., sha256: ...}``).

    Raises UserError if the data are missing, or if classes or images are not as many as published.
    """

    publication: ClassVar[Publication]

    def __init__(
        self,
        root: str | None = None,
        download: bool = False,
        sources: Sequence[Any] = (),
        *,
        dataset_root: str = "datasets",
    ) -> None:
        found = locate(self.publication, self.layout_in, root, dataset_root, download=download, sources=sources)
        self.layout = found.text
        self.index = self.read(found)
        self.files = listed_files(found.images, self.paths(), f"{self.publication.name} ({found.text})")
        require_counts(self.publication, found.folder, self.index)
        self.checksum = files_checksum(self.index, self.files)

    @staticmethod
    @abstractmethod
    def layout_in(folder: Path) -> Layout | None:
        """How the dataset lies in a folder, or None."""

    @abstractmethod
    def read(self, found: Layout) -> DatasetIndex:
        """The index of what was found. UserError for what is wrong in its lists and names."""

    def paths(self) -> Sequence[str]:
        """Where each item lies below the layout's images: what it is called, unless a dataset says otherwise."""
        return self.index.item_names

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self.files[item], str(self.files[item]))

    @classmethod
    def find(cls, place: Path) -> str | None:
        """What lies where below ``place``; None if nothing."""
        found = cls.publication.find(place, cls.layout_in)
        return None if found is None else found.text
