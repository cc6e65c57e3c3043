"""Stanford Cars: 196 models of cars."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbench.datasets.archives import Archive, Source
from powerbench.datasets.image_files import (
    class_folders,
    decode_image,
    files_checksum,
    images_below,
    listed_files,
    single_level_index,
)
from powerbench.datasets.locating import Counts, Publication, locate, require_counts
from powerbench.datasets.mat_files import number_of, read_mat, text_of
from powerbench.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

FOLDERS = ("cars196", "CARS196", "Cars196", "stanford_cars", ".")
ANNOTATIONS, IMAGES = "cars_annos.mat", "car_ims"
TRAIN, TEST, DEVKIT = "cars_train", "cars_test", "devkit"
TRAIN_LIST, TEST_LIST, NAMES = "cars_train_annos.mat", "cars_test_annos_withlabels.mat", "cars_meta.mat"
COUNTS = Counts(196, 16185, {"first half": (98, 8054), "second half": (98, 8131)})
"""The halves of the classes are metric learning's; the published image-level split (8,144 / 8,041) is not used."""

PUBLICATION = Publication(
    "Cars196",
    needs=(
        f"{ANNOTATIONS} and {IMAGES}/, or images/<make model type year>/, "
        f"or {TRAIN}/, {TEST}/, {DEVKIT}/ and {TEST_LIST},"
    ),
    layouts=tuple(folder for folder in FOLDERS if folder != "."),
    archives=(
        Archive("cars196.tar"),
        Archive("car_ims.tgz", into="cars196"),
        Archive(ANNOTATIONS),
        *(Archive(name, into="cars196") for name in ("cars_train.tgz", "cars_test.tgz", "car_devkit.tgz")),
    ),
    sources=(
        Source(("https://www.dropbox.com/s/zi2o92hzqekbmef/cars196.tar?dl=1",)),
        Source(
            (
                "http://ai.stanford.edu/~jkrause/car196/car_ims.tgz",
                "http://ai.stanford.edu/~jkrause/car196/cars_annos.mat",
            )
        ),
    ),
)
_YEAR = re.compile(r".+ \d{4}")


@dataclass(frozen=True)
class Layout:
    """How and where the dataset lies: labels by 1-based class number, class names, and files by item name."""

    text: str
    folder: Path
    read: Callable[[Path], tuple[list[int], list[str], list[str]]]


class Cars196:
    """16,185 photographs of 196 models of cars, in any of the three layouts in which it is passed on.

    root: the folder that holds one of ``FOLDERS`` (or is one); by default ``dataset_root``, the command line's.
    download, sources: see CUB200.

    Labels follow the class numbers of the annotation file, or the class folders in byte order. Raises UserError if
    the data are missing, or if classes, images or the two halves of the classes are not as many as published.
    """

    def __init__(
        self,
        root: str | None = None,
        download: bool = False,
        sources: Sequence[Any] = (),
        *,
        dataset_root: str = "datasets",
    ) -> None:
        found = locate(PUBLICATION, find_layout, root, dataset_root, download=download, sources=sources)
        self.layout = f"{found.text} in {found.folder}"
        labels, names, items = found.read(found.folder)
        self.files = listed_files(found.folder, items, found.text)
        self.index = single_level_index(names, labels, items)
        require_counts("Cars196", found.folder, self.index, COUNTS)
        self.checksum = files_checksum(self.index, self.files)

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self.files[item], str(self.files[item]))

    @staticmethod
    def find(place: Path) -> str | None:
        """Where it lies below ``place``; None if nowhere."""
        found = find_layout(place)
        return None if found is None else f"{found.text} in {found.folder}"


def find_layout(place: Path) -> Layout | None:
    """The first layout below ``place``."""
    for name in FOLDERS:
        folder = place / name
        if (folder / IMAGES).is_dir() and _annotations(folder) is not None:
            return Layout("annotation file", folder, read_annotation_file)
        if (folder / TRAIN).is_dir() and (folder / TEST).is_dir() and (folder / DEVKIT).is_dir():
            return Layout("official folders", folder, read_official_folders)
        images = folder / "images"
        if images.is_dir() and any(_YEAR.fullmatch(car) for car in class_folders(images)):
            return Layout("class folders", images, read_class_folders)
    return None


def read_class_folders(folder: Path) -> tuple[list[int], list[str], list[str]]:
    """Labels, class names and item names of ``<make model type year>/*.jpg``, classes in byte order."""
    names = class_folders(folder)
    files = [(label, file) for label, name in enumerate(names) for file in images_below(folder / name)]
    return [label for label, _ in files], names, [file.relative_to(folder).as_posix() for _, file in files]


def read_annotation_file(folder: Path) -> tuple[list[int], list[str], list[str]]:
    """Labels, class names and item names of ``cars_annos.mat``: a record is path, box (4), class from 1, test flag."""
    path = _annotations(folder) or folder / ANNOTATIONS
    records = read_mat(path, "annotations")
    fields = records.dtype.names or ()
    if len(fields) < 7:
        raise UserError(f"{path}: annotations have the fields {', '.join(fields) or 'none'}, not the published seven.")
    items = [text_of(record[fields[0]]) for record in records]
    labels = [number_of(record[fields[5]]) - 1 for record in records]
    return labels, _class_names(path, labels), items


def read_official_folders(folder: Path) -> tuple[list[int], list[str], list[str]]:
    """Labels, class names and item names of ``cars_train`` and ``cars_test``, by the lists of the devkit."""
    labels, items = [], []
    for images, name in ((TRAIN, TRAIN_LIST), (TEST, TEST_LIST)):
        path = _first(folder / DEVKIT / name, folder / name)
        records = read_mat(path, "annotations")
        if not {"fname", "class"} <= set(records.dtype.names or ()):
            raise UserError(f"{path}: annotations lack fname or class; {TEST_LIST} is the list with labels.")
        items += [f"{images}/{text_of(record['fname'])}" for record in records]
        labels += [number_of(record["class"]) - 1 for record in records]
    return labels, _class_names(_first(folder / DEVKIT / NAMES, folder / NAMES), labels), items


def _annotations(folder: Path) -> Path | None:
    return next((path for path in (folder / ANNOTATIONS, folder.parent / ANNOTATIONS) if path.is_file()), None)


def _class_names(path: Path, labels: Sequence[int]) -> list[str]:
    """The names in a file, or numbers from 1 on if it has none."""
    count = max(labels, default=-1) + 1
    names = [text_of(cell) for cell in read_mat(path, "class_names", optional=True)]
    names = names or [str(number) for number in range(1, count + 1)]
    if min(labels, default=0) < 0 or count > len(names):
        raise UserError(f"{path} names {len(names)} classes; the images' go from {min(labels) + 1} to {count}.")
    return names


def _first(*paths: Path) -> Path:
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise UserError(f"Cars196: {paths[0].name} is missing (sought: {', '.join(map(str, paths))}).")
    return found
