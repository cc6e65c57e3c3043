"""Stanford Cars: 196 models of cars."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from powerbench.datasets.archives import Archive, Source
from powerbench.datasets.image_files import class_folders, images_below, single_level_index
from powerbench.datasets.lists import refuse_repeated
from powerbench.datasets.locating import Counts, Layout, Publication
from powerbench.datasets.mat_files import numbers_in, read_mat, texts_in
from powerbench.datasets.published import PublishedDataset
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

ANNOTATIONS, IMAGES = "cars_annos.mat", "car_ims"
TRAIN, TEST, DEVKIT = "cars_train", "cars_test", "devkit"
TRAIN_LIST, TEST_LIST, NAMES = "cars_train_annos.mat", "cars_test_annos_withlabels.mat", "cars_meta.mat"
CLASSES = 196
_YEAR = re.compile(r".+ \d{4}")


class Cars196(PublishedDataset):
    """16,185 photographs of 196 models of cars, in any of the three layouts in which it is passed on.

    Labels follow the class numbers of the annotation file, or the class folders in byte order. The halves of the
    classes are metric learning's; the published image-level split (8,144 / 8,041) is not used.
    """

    publication = Publication(
        "Cars196",
        needs=(
            f"{ANNOTATIONS} and {IMAGES}/, or images/<make model type year>/, "
            f"or {TRAIN}/, {TEST}/, {DEVKIT}/ and {TEST_LIST},"
        ),
        layouts=("cars196", "CARS196", "Cars196", "stanford_cars"),
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
        counts=Counts(CLASSES, 16185, {"first half": (98, 8054), "second half": (98, 8131)}),
    )

    @staticmethod
    def layout_in(folder: Path) -> Layout | None:
        """The first of the three layouts that a folder has."""
        if (folder / IMAGES).is_dir() and _annotations(folder) is not None:
            return Layout("annotation file", folder)
        if (folder / TRAIN).is_dir() and (folder / TEST).is_dir() and (folder / DEVKIT).is_dir():
            return Layout("official folders", folder)
        images = folder / "images"
        if images.is_dir() and any(_YEAR.fullmatch(car) for car in class_folders(images)):
            return Layout("class folders", images)
        return None

    def read(self, found: Layout) -> DatasetIndex:
        """Labels, class names and items as the layout has them."""
        return READERS[found.kind](found.folder)


def read_class_folders(folder: Path) -> DatasetIndex:
    """The index of ``<make model type year>/*.jpg``, classes in byte order."""
    names = class_folders(folder)
    files = [(label, file) for label, name in enumerate(names) for file in images_below(folder / name)]
    items = [file.relative_to(folder).as_posix() for _, file in files]
    return single_level_index(names, [label for label, _ in files], items)


def read_annotation_file(folder: Path) -> DatasetIndex:
    """The index of ``cars_annos.mat``: a record is path, box (4), class from 1, test flag."""
    path = _annotations(folder) or folder / ANNOTATIONS
    records = read_mat(path, "annotations")
    fields = records.dtype.names or ()
    if len(fields) < 7:
        raise UserError(f"{path}: annotations have the fields {', '.join(fields) or 'none'}, not the published seven.")
    items = texts_in(records[fields[0]], path)
    refuse_repeated(items, str(path))
    labels = [number - 1 for number in numbers_in(records[fields[5]], path)]
    return single_level_index(_class_names(path, labels), labels, items)


def read_official_folders(folder: Path) -> DatasetIndex:
    """The index of ``cars_train`` and ``cars_test``, by the lists of the devkit."""
    labels, items = [], []
    for images, name in ((TRAIN, TRAIN_LIST), (TEST, TEST_LIST)):
        path = _list(folder, name)
        records = read_mat(path, "annotations")
        if not {"fname", "class"} <= set(records.dtype.names or ()):
            raise UserError(f"{path}: annotations lack fname or class; {TEST_LIST} is the list with labels.")
        items += [f"{images}/{name}" for name in texts_in(records["fname"], path)]
        refuse_repeated(items, str(path))
        labels += [number - 1 for number in numbers_in(records["class"], path)]
    return single_level_index(_class_names(_list(folder, NAMES), labels), labels, items)


READERS: dict[str, Callable[[Path], DatasetIndex]] = {
    "annotation file": read_annotation_file,
    "official folders": read_official_folders,
    "class folders": read_class_folders,
}


def _annotations(folder: Path) -> Path | None:
    return next((path for path in (folder / ANNOTATIONS, folder.parent / ANNOTATIONS) if path.is_file()), None)


def _class_names(path: Path, labels: Sequence[int]) -> list[str]:
    """The names in a file, or the published numbers if it has none."""
    count = max(labels, default=-1) + 1
    names = texts_in(read_mat(path, "class_names", optional=True), path)
    names = names or [str(number) for number in range(1, CLASSES + 1)]
    if min(labels, default=0) < 0 or count > len(names):
        raise UserError(f"{path} is of {len(names)} classes; the images' go from {min(labels) + 1} to {count}.")
    return names


def _list(folder: Path, name: str) -> Path:
    """A file of the devkit, which may also lie beside its folder, or beside the archives."""
    places = [place / name for place in (folder / DEVKIT, folder, folder.parent)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise UserError(f"Cars196: {name} is missing (sought: {', '.join(map(str, places))}).")
    return found
