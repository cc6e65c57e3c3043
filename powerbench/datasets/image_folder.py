"""Any folder of class folders of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.datasets.image_files import (
    class_folders,
    decode_image,
    files_checksum,
    images_below,
    single_level_index,
)
from powerbench.errors import UserError

if TYPE_CHECKING:
    from PIL import Image


class ImageFolder:
    """A dataset read from ``root``, which holds one folder a class, with images at any depth below it.

    root: absolute, or relative to the current folder or else to ``dataset_root``; ``~`` is the home folder.
    dataset_root: the parent folder of datasets, given by the command line.

    Classes are the folders sorted by name. Hidden files and files that are no images are left out.
    Raises UserError if there is no such folder, it has no class folders, or a class has no image.
    """

    def __init__(self, root: str | None = None, *, dataset_root: str = "datasets") -> None:
        folder = _existing(root, dataset_root)
        self.layout = f"class folders in {folder}"
        names = class_folders(folder)
        if not names:
            raise UserError(f"{folder} has no class folders: put the images of each class into a folder of their own.")
        by_class = [images_below(folder / name) for name in names]
        empty = [name for name, files in zip(names, by_class, strict=True) if not files]
        if empty:
            shown = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
            raise UserError(f"{folder} has class folders without images: {shown}. Remove them, or fill them.")
        self.files = [file for files in by_class for file in files]
        labels = [label for label, files in enumerate(by_class) for _ in files]
        items = [file.relative_to(folder).as_posix() for file in self.files]
        self.index = single_level_index(names, labels, items)
        self.checksum = files_checksum(self.index, self.files)

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self.files[item], str(self.files[item]))


def _existing(root: str | None, dataset_root: str) -> Path:
    if not root:
        raise UserError("ImageFolder needs the folder of class folders: {ImageFolder: {root: path/to/folder}}.")
    given = Path(root).expanduser()
    sought = [given.absolute()] if given.is_absolute() else [given.absolute(), Path(dataset_root, given).absolute()]
    for folder in sought:
        if folder.is_dir():
            return folder
    for place in sought:
        if place.exists():
            raise UserError(f"{place} is a file; ImageFolder needs a folder of class folders.")
    raise UserError(f"there is no folder of images at {' or at '.join(map(str, sought))}.")
