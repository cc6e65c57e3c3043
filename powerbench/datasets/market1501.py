"""Market-1501: persons seen by six cameras."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from powerbench.datasets.archives import Archive, Source
from powerbench.datasets.image_files import images_below
from powerbench.datasets.locating import Counts, Layout, Publication
from powerbench.datasets.published import PublishedDataset
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

PARTS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
JUNK = -1
_NAME = re.compile(r"(-?\d+)_c(\d)")


class Market1501(PublishedDataset):
    """Detections of 1,501 persons: 751 persons to train on, and queries of 750 others against a gallery.

    Level 0 of the labels is the person, level 1 the camera. Published roles: ``train``, ``query``, ``gallery``. Bad
    detections (``-1_...``) are left out; false ones (``0000_...``) are in the gallery, as one class that nobody
    queries.

    Source: Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015.
    """

    publication = Publication(
        "Market1501",
        needs=", ".join(f"{folder}/" for folder in PARTS.values()),
        layouts=("Market-1501-v15.09.15", "market1501/Market-1501-v15.09.15", "market1501", "Market1501"),
        archives=(Archive("Market-1501-v15.09.15.zip"),),
        sources=(
            Source(("http://188.138.127.15:81/Datasets/Market-1501-v15.09.15.zip",)),
            Source(("https://www.dropbox.com/s/5gypc42z6vdbbtu/Market-1501-v15.09.15.zip?dl=1",)),
        ),
        # the false detections of the gallery count as one more class
        counts=Counts(1502, 32217, {"train": (751, 12936), "query": (750, 3368), "gallery": (751, 15913)}),
    )

    @staticmethod
    def layout_in(folder: Path) -> Layout | None:
        """A folder with the three parts."""
        return Layout(", ".join(PARTS.values()), folder) if all((folder / p).is_dir() for p in PARTS.values()) else None

    def read(self, found: Layout) -> DatasetIndex:
        """The persons of the three parts."""
        files = [(role, file) for role, part in PARTS.items() for file in images_below(found.folder / part)]
        kept = [(role, file) for role, file in files if _parsed(file)[0] != JUNK]
        return index_of([file.relative_to(found.folder).as_posix() for _, file in kept], [role for role, _ in kept])


def index_of(items: Sequence[str], roles: Sequence[str]) -> DatasetIndex:
    """Persons in the order of their published numbers (distractors first), cameras from 1 on."""
    found = [_parsed(Path(item)) for item in items]
    persons = {person: label for label, person in enumerate(sorted({person for person, _ in found}))}
    cameras = {camera: label for label, camera in enumerate(sorted({camera for _, camera in found}))}
    return DatasetIndex(
        labels=np.array([[persons[p], cameras[c]] for p, c in found], dtype=np.int64).reshape(-1, 2),
        class_names=(tuple(f"{person:04d}" for person in persons), tuple(f"c{camera}" for camera in cameras)),
        item_names=tuple(items),
        roles=tuple(roles),
    )


def _parsed(file: Path) -> tuple[int, int]:
    """Person and camera of a file such as ``0002_c1s1_000451_03.jpg``."""
    match = _NAME.match(file.name)
    if match is None:
        raise UserError(f"{file} is not named like Market-1501's images (0002_c1s1_000451_03.jpg).")
    return int(match[1]), int(match[2])
