"""Caltech-UCSD Birds 200-2011."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.datasets.cub200_download import ARCHIVE_NAME, obtain
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

LAYOUTS = (
    "cub2011/CUB_200_2011/images",
    "CUB_200_2011/images",
    "cub200/images",
    "cub-200-2011/images",
    "images",
)
"""Where class folders are sought below the root; the first is powerful-benchmarker's, and where downloads go."""

CLASSES, IMAGES = 200, 11788
IMAGES_OF_2010 = 6033
_CLASS_FOLDER = re.compile(r"(\d+)\..+")


class CUB200:
    """11,788 photographs of 200 species of birds, in class folders such as ``001.Black_footed_Albatross``.

    root: the folder that holds one of ``LAYOUTS``; by default ``dataset_root``, the command line's.
    download: get and unpack the archive if no layout is found. An archive ``CUB_200_2011.tgz`` that
    lies in the root already is used before any network source.

    A label is the number before the dot, minus 1. Raises UserError if the data are missing or their
    counts are wrong.
    """

    def __init__(self, root: str | None = None, download: bool = False, *, dataset_root: str = "datasets") -> None:
        place = Path(root or dataset_root).expanduser().absolute()
        folder = find_images(place)
        if folder is None and download:
            obtain(place)
            folder = find_images(place)
        if folder is None:
            raise UserError(_missing(place))
        labels, names, self._files = read_images(folder)
        self.index = single_level_index(names, labels, [f.relative_to(folder).as_posix() for f in self._files])
        self.checksum = files_checksum(self.index, self._files)

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self._files[item], str(self._files[item]))


def find_images(place: Path) -> Path | None:
    """The first layout below ``place`` that has numbered class folders."""
    for layout in LAYOUTS:
        folder = place / layout
        if folder.is_dir() and any(_CLASS_FOLDER.fullmatch(name) for name in class_folders(folder)):
            return folder
    return None


def class_number(folder_name: str) -> int:
    """The label of a class folder: the number before the first dot, minus 1."""
    match = _CLASS_FOLDER.fullmatch(folder_name)
    if not match:
        raise UserError(f"the folder {folder_name!r} is not named like CUB200's classes (001.Black_footed_Albatross).")
    return int(match[1]) - 1


def read_images(
    folder: Path, classes: int = CLASSES, images: int = IMAGES
) -> tuple[list[int], tuple[str, ...], list[Path]]:
    """Labels of all images, class names by label, and the files. UserError unless the counts are as given."""
    names = {class_number(name): name for name in class_folders(folder)}
    by_class = {label: images_below(folder / names[label]) for label in sorted(names)}
    files = [file for found in by_class.values() for file in found]
    if len(files) == IMAGES_OF_2010 != images:
        raise UserError(
            f"{folder} holds {IMAGES_OF_2010} images: this is CUB-200-2010, the older edition. "
            f"CUB-200-2011 ({IMAGES} images) is needed."
        )
    if list(by_class) != list(range(classes)) or len(files) != images:
        raise UserError(
            f"{folder} holds {len(files)} images in {len(by_class)} classes; CUB-200-2011 has {images} images "
            f"in {classes} classes. It is incomplete or has been changed: unpack the archive again."
        )
    labels = [label for label, found in by_class.items() for _ in found]
    return labels, tuple(names.values()), files


def _missing(place: Path) -> str:
    others = ", ".join(LAYOUTS[1:])
    text = (
        f"CUB200 is missing: put its class folders (001.Black_footed_Albatross, ...) into {place / LAYOUTS[0]} "
        f"(also sought below {place}: {others}). "
    )
    if (place / ARCHIVE_NAME).is_file():
        return text + f"{place / ARCHIVE_NAME} is there: `{{CUB200: {{download: True}}}}` unpacks it."
    return text + "`{CUB200: {download: True}}` downloads it; --dataset_root names another parent folder."
