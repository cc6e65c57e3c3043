"""Caltech-UCSD Birds 200-2011."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbench.datasets.archives import Archive, Source
from powerbench.datasets.image_files import (
    class_folders,
    decode_image,
    files_checksum,
    images_below,
    single_level_index,
)
from powerbench.datasets.locating import Publication, locate
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

PUBLICATION = Publication(
    "CUB200",
    needs="its class folders (001.Black_footed_Albatross, ...)",
    layouts=LAYOUTS,
    archives=(
        Archive("CUB_200_2011.tgz", into="cub2011", md5="97eceeb196236b17998738112f37df78"),
        Archive("cub200.tar"),
    ),
    sources=(
        Source(("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",)),
        Source(("http://www.vision.caltech.edu/visipedia-data/CUB-200-2011/CUB_200_2011.tgz",)),
        Source(("https://www.dropbox.com/s/tjhf7fbxw5f9u0q/cub200.tar?dl=1",)),
    ),
)
CLASSES, IMAGES = 200, 11788
IMAGES_OF_2010 = 6033
_CLASS_FOLDER = re.compile(r"(\d+)\..+")


class CUB200:
    """11,788 photographs of 200 species of birds, in class folders such as ``001.Black_footed_Albatross``.

    root: the folder that holds one of ``LAYOUTS``; by default ``dataset_root``, the command line's.
    download: get and unpack the archive if no layout is found. An archive that lies in the root already is used
    before any network source. sources: further addresses, tried first (an address, or ``{url: ..., sha256: ...}``).

    A label is the number before the dot, minus 1. Raises UserError if the data are missing or their
    counts are wrong.
    """

    def __init__(
        self,
        root: str | None = None,
        download: bool = False,
        sources: Sequence[Any] = (),
        *,
        dataset_root: str = "datasets",
    ) -> None:
        folder = locate(PUBLICATION, find_images, root, dataset_root, download=download, sources=sources)
        self.layout = f"class folders in {folder}"
        labels, names, self.files = read_images(folder)
        self.index = single_level_index(names, labels, [f.relative_to(folder).as_posix() for f in self.files])
        self.checksum = files_checksum(self.index, self.files)

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self.files[item], str(self.files[item]))

    @staticmethod
    def find(place: Path) -> str | None:
        """Where it lies below ``place``; None if nowhere."""
        folder = find_images(place)
        return None if folder is None else f"class folders in {folder}"


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
