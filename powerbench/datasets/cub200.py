"""Caltech-UCSD Birds 200-2011."""

from __future__ import annotations

import re
from pathlib import Path

from powerbench.datasets.archives import Archive, Source
from powerbench.datasets.image_files import class_folders, images_below, single_level_index
from powerbench.datasets.locating import Counts, Layout, Publication
from powerbench.datasets.published import PublishedDataset
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

IMAGES_OF_2010 = 6033
_CLASS_FOLDER = re.compile(r"([0-9]{3})\..+")


class CUB200(PublishedDataset):
    """11,788 photographs of 200 species of birds, in class folders such as ``001.Black_footed_Albatross``.

    A label is the number before the dot, minus 1.
    """

    publication = Publication(
        "CUB200",
        needs="its class folders (001.Black_footed_Albatross, ...)",
        layouts=(
            "cub2011/CUB_200_2011/images",  # powerful-benchmarker's, and where downloads go
            "CUB_200_2011/images",
            "cub200/images",
            "cub-200-2011/images",
            "images",
        ),
        archives=(
            Archive("CUB_200_2011.tgz", into="cub2011", md5="97eceeb196236b17998738112f37df78"),
            Archive("cub200.tar"),
        ),
        sources=(
            Source(("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",)),
            Source(("http://www.vision.caltech.edu/visipedia-data/CUB-200-2011/CUB_200_2011.tgz",)),
            Source(("https://www.dropbox.com/s/tjhf7fbxw5f9u0q/cub200.tar?dl=1",)),
        ),
        counts=Counts(200, 11788, {"first half": (100, 5864), "second half": (100, 5924)}),
    )

    @staticmethod
    def layout_in(folder: Path) -> Layout | None:
        """A folder most of whose folders are class folders: any folder may be asked for, and one alone be anything."""
        names = class_folders(folder) if folder.is_dir() else []
        birds = sum(_CLASS_FOLDER.fullmatch(name) is not None for name in names)
        return Layout("class folders", folder) if 2 * birds > len(names) else None

    def read(self, found: Layout) -> DatasetIndex:
        """Images by class folder; UserError if this is the older edition."""
        index = read_class_folders(found.folder)
        if len(index) == IMAGES_OF_2010:
            raise UserError(
                f"{found.folder} holds {IMAGES_OF_2010} images: this is CUB-200-2010, the older edition. "
                "CUB-200-2011 (11788 images) is needed."
            )
        return index


def class_number(folder_name: str) -> int:
    """The label of a class folder: the number before the first dot, minus 1."""
    match = _CLASS_FOLDER.fullmatch(folder_name)
    if not match or not int(match[1]):
        raise UserError(f"the folder {folder_name!r} is not named like CUB200's classes (001.Black_footed_Albatross).")
    return int(match[1]) - 1


def read_class_folders(folder: Path) -> DatasetIndex:
    """All images in the order of their classes; a class without a folder is named by its number."""
    names: dict[int, str] = {}
    for name in class_folders(folder):
        label = class_number(name)
        if label in names:
            raise UserError(f"{folder} has two folders of class {label + 1:03d}: {names[label]} and {name}.")
        names[label] = name
    files = [(label, file) for label in sorted(names) for file in images_below(folder / names[label])]
    return single_level_index(
        [names.get(label, str(label + 1)) for label in range(max(names, default=-1) + 1)],
        [label for label, _ in files],
        [file.relative_to(folder).as_posix() for _, file in files],
    )
