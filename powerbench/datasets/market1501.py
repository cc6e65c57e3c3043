"""Market-1501: persons seen by six cameras."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from powerbench.datasets.archives import Archive, Source
from powerbench.datasets.image_files import decode_image, files_checksum, images_below
from powerbench.datasets.locating import Counts, Publication, locate, require_counts
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

if TYPE_CHECKING:
    from PIL import Image

FOLDERS = ("Market-1501-v15.09.15", "market1501/Market-1501-v15.09.15", "market1501", "Market1501", ".")
PARTS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
JUNK, DISTRACTOR = -1, 0
COUNTS = Counts(1502, 32217, {"train": (751, 12936), "query": (750, 3368), "gallery": (751, 15913)})
"""The gallery's distractors count as one more class."""

PUBLICATION = Publication(
    "Market1501",
    needs=", ".join(f"{folder}/" for folder in PARTS.values()),
    layouts=tuple(folder for folder in FOLDERS if folder != "."),
    archives=(Archive("Market-1501-v15.09.15.zip"),),
    sources=(
        Source(("http://188.138.127.15:81/Datasets/Market-1501-v15.09.15.zip",)),
        Source(("https://www.dropbox.com/s/5gypc42z6vdbbtu/Market-1501-v15.09.15.zip?dl=1",)),
    ),
)
_NAME = re.compile(r"(-?\d+)_c(\d)")


class Market1501:
    """Detections of 1,501 persons: 751 persons to train on, and queries of 750 others against a gallery.

    root: the folder that holds one of ``FOLDERS`` (or is one); by default ``dataset_root``, the command line's.
    download, sources: see CUB200.

    Level 0 of the labels is the person, level 1 the camera. Published roles: ``train``, ``query``, ``gallery``. Bad
    detections (``-1_...``) are left out; false ones (``0000_...``) are in the gallery, as one class that nobody
    queries. Raises UserError if the data are missing, or if persons or images are not as many as published.

    Source: Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015.
    """

    def __init__(
        self,
        root: str | None = None,
        download: bool = False,
        sources: Sequence[Any] = (),
        *,
        dataset_root: str = "datasets",
    ) -> None:
        folder = locate(PUBLICATION, find_folder, root, dataset_root, download=download, sources=sources)
        self.layout = f"{', '.join(PARTS.values())} in {folder}"
        named = {
            role: [f for f in images_below(folder / below) if _parsed(f)[0] != JUNK] for role, below in PARTS.items()
        }
        self.files = [file for files in named.values() for file in files]
        roles = [role for role, files in named.items() for _ in files]
        self.index = index_of([file.relative_to(folder).as_posix() for file in self.files], roles)
        require_counts("Market1501", folder, self.index, COUNTS)
        self.checksum = files_checksum(self.index, self.files)

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self.files[item], str(self.files[item]))

    @staticmethod
    def find(place: Path) -> str | None:
        """Where it lies below ``place``; None if nowhere."""
        folder = find_folder(place)
        return None if folder is None else f"{', '.join(PARTS.values())} in {folder}"


def find_folder(place: Path) -> Path | None:
    """The first folder below ``place`` with the three parts."""
    folders = (place / name for name in FOLDERS)
    return next((f for f in folders if all((f / part).is_dir() for part in PARTS.values())), None)


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
