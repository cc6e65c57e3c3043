"""In-Shop Clothes Retrieval, a part of DeepFashion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerbench.datasets.archives import Archive
from powerbench.datasets.image_files import single_level_index
from powerbench.datasets.lists import is_number, read_lines, refuse_repeated
from powerbench.datasets.locating import Counts, Layout, Publication
from powerbench.datasets.published import PublishedDataset
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

LIST = "list_eval_partition.txt"
HEADER = ["image_name", "item_id", "evaluation_status"]
TRAIN, QUERY, GALLERY = ROLES = ("train", "query", "gallery")
LOW, HIGH = "img", "img_highres"


@dataclass(frozen=True)
class Row:
    """A row of the partition file: path, item number, role."""

    path: str
    item: int
    role: str


class InShop(PublishedDataset):
    """52,712 photographs of 7,982 clothing items: items to train on, and queries against a gallery of other items.

    root, download, sources: see PublishedDataset; the data are given by agreement with their authors, so that only
    local archives and your own sources can be tried. high_resolution: read ``img_highres/`` instead of ``img/``.

    Published roles: ``train``, ``query``, ``gallery``. Items are numbered separately for training and for query and
    gallery (where equal numbers would mean different items); the latter follow the former.
    """

    publication = Publication(
        "InShop",
        needs=f"Eval/{LIST} and {LOW}/",
        layouts=("in-shop", "In-shop Clothes Retrieval Benchmark", "DeepFashion", "inshop", "in_shop"),
        archives=(Archive("in-shop.zip", into="in-shop"), Archive("img.zip", into="in-shop")),
        counts=Counts(7982, 52712, {TRAIN: (3997, 25882), QUERY: (3985, 14218), GALLERY: (3985, 12612)}),
    )

    def __init__(
        self,
        root: str | None = None,
        high_resolution: bool = False,
        download: bool = False,
        sources: Sequence[Any] = (),
        *,
        dataset_root: str = "datasets",
    ) -> None:
        self._images = HIGH if high_resolution else LOW
        super().__init__(root, download, sources, dataset_root=dataset_root)
        self.layout = f"{self._images}/ and {self.layout}"

    @staticmethod
    def layout_in(folder: Path) -> Layout | None:
        """A folder with the partition file, and with the images beside it or in ``Img``."""
        if _list(folder) is None:
            return None
        inside = any((folder / "Img" / images).is_dir() for images in (LOW, HIGH))
        return Layout(LIST, folder, below="Img" if inside else "")

    def read(self, found: Layout) -> DatasetIndex:
        """The items of the partition file."""
        return index_of(read_partition(_list(found.folder) or found.folder / LIST))

    def paths(self) -> list[str]:
        """The partition file's paths, which name ``img/``."""
        return [name.replace(f"{LOW}/", f"{self._images}/", 1) for name in self.index.item_names]


def _list(folder: Path) -> Path | None:
    """The partition file of a folder."""
    return next((path for path in (folder / "Eval" / LIST, folder / LIST) if path.is_file()), None)


def read_partition(path: Path) -> list[Row]:
    """The rows of the partition file, whose first line is their number and whose second line is a header."""
    lines = [line.split() for line in read_lines(path)]
    lines = [words for words in lines if words]
    if len(lines) < 2 or lines[1] != HEADER or len(lines[0]) != 1 or not is_number(lines[0][0]):
        raise UserError(f"{path}: expected the number of rows, then {' '.join(HEADER)!r}.")
    if len(lines) - 2 != int(lines[0][0]):
        raise UserError(f"{path} announces {lines[0][0]} rows but has {len(lines) - 2}: it is cut off or was changed.")
    rows = [_row(words, path, number) for number, words in enumerate(lines[2:], start=3)]
    refuse_repeated((row.path for row in rows), str(path))
    return rows


def _row(words: list[str], path: Path, number: int) -> Row:
    if len(words) == 3 and words[1].startswith("id_") and is_number(words[1][3:]) and words[2] in ROLES:
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
