"""In-Shop Clothes Retrieval, a part of DeepFashion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbench.datasets.archives import Archive
from powerbench.datasets.image_files import decode_image, files_checksum, listed_files, single_level_index
from powerbench.datasets.locating import Counts, Publication, locate, require_counts
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

if TYPE_CHECKING:
    from PIL import Image

FOLDERS = ("in-shop", "In-shop Clothes Retrieval Benchmark", "DeepFashion", "inshop", "in_shop", ".")
LIST = "list_eval_partition.txt"
HEADER = ["image_name", "item_id", "evaluation_status"]
TRAIN, QUERY, GALLERY = ROLES = ("train", "query", "gallery")
COUNTS = Counts(7982, 52712, {TRAIN: (3997, 25882), QUERY: (3985, 14218), GALLERY: (3985, 12612)})
PUBLICATION = Publication(
    "InShop",
    needs=f"Eval/{LIST} and img/",
    layouts=tuple(folder for folder in FOLDERS if folder != "."),
    archives=(Archive("in-shop.zip", into="in-shop"), Archive("img.zip", into="in-shop")),
)


@dataclass(frozen=True)
class Row:
    """A row of the partition file: path, item number, role."""

    path: str
    item: int
    role: str


class InShop:
    """52,712 photographs of 7,982 clothing items: items to train on, and queries against a gallery of other items.

    root: the folder that holds one of ``FOLDERS`` (or is one); by default ``dataset_root``, the command line's.
    high_resolution: read ``img_highres/`` instead of ``img/``. download, sources: see CUB200; the data are given by
    agreement with their authors, so that only local archives and your own sources can be tried.

    Published roles: ``train``, ``query``, ``gallery``. Items are numbered separately for training and for query and
    gallery (where equal numbers would mean different items); the latter follow the former. Raises UserError if the
    data are missing, or if items or images are not as many as published.
    """

    def __init__(
        self,
        root: str | None = None,
        high_resolution: bool = False,
        download: bool = False,
        sources: Sequence[Any] = (),
        *,
        dataset_root: str = "datasets",
    ) -> None:
        folder, path = locate(PUBLICATION, find_list, root, dataset_root, download=download, sources=sources)
        self.layout = f"{'img_highres' if high_resolution else 'img'}/ and {path.name} in {folder}"
        rows = read_partition(path)
        self.index = index_of(rows)
        places = [row.path.replace("img/", "img_highres/", 1) if high_resolution else row.path for row in rows]
        images = next((below for below in (folder, folder / "Img") if (below / places[0]).is_file()), folder)
        self.files = listed_files(images, places, str(path))
        require_counts("InShop", folder, self.index, COUNTS)
        self.checksum = files_checksum(self.index, self.files)

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self.files[item], str(self.files[item]))

    @staticmethod
    def find(place: Path) -> str | None:
        """Where it lies below ``place``; None if nowhere."""
        found = find_list(place)
        return None if found is None else f"{LIST} in {found[0]}"


def find_list(place: Path) -> tuple[Path, Path] | None:
    """The dataset's folder below ``place``, and its partition file."""
    for name in FOLDERS:
        for path in (place / name / "Eval" / LIST, place / name / LIST):
            if path.is_file():
                return place / name, path
    return None


def read_partition(path: Path) -> list[Row]:
    """The rows of the partition file, whose first line is their number and whose second line is a header."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [words for words in lines if words]
    if len(lines) < 2 or lines[1] != HEADER or len(lines[0]) != 1 or not lines[0][0].isdigit():
        raise UserError(f"{path}: expected the number of rows, then {' '.join(HEADER)!r}.")
    if len(lines) - 2 != int(lines[0][0]):
        raise UserError(f"{path} announces {lines[0][0]} rows but has {len(lines) - 2}: it is cut off or was changed.")
    return [_row(words, path, number) for number, words in enumerate(lines[2:], start=3)]


def _row(words: list[str], path: Path, number: int) -> Row:
    if len(words) == 3 and words[1].startswith("id_") and words[1][3:].isdigit() and words[2] in ROLES:
        return Row(words[0], int(words[1][3:]), words[2])
    raise UserError(
        f"{path}, row {number}: expected a path, id_<number> and {'|'.join(ROLES)}, not {' '.join(words)!r}."
    )


def index_of(rows: Sequence[Row]) -> DatasetIndex:
    """Training items first, then those of query and gallery, each in the order of their numbers."""
    trained = sorted({row.item for row in rows if row.role == TRAIN})
    tested = sorted({row.item for row in rows if row.role != TRAIN})
    number = {(True, item): label for label, item in enumerate(trained)}
    number |= {(False, item): len(trained) + label for label, item in enumerate(tested)}
    return single_level_index(
        [f"id_{item:08d}" for item in (*trained, *tested)],
        [number[row.role == TRAIN, row.item] for row in rows],
        [row.path for row in rows],
        roles=[row.role for row in rows],
    )
