"""Stanford Online Products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from powerbench.datasets.archives import Archive, Source
from powerbench.datasets.image_files import decode_image, files_checksum, listed_files
from powerbench.datasets.locating import Counts, Publication, locate, require_counts
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

if TYPE_CHECKING:
    from PIL import Image

FOLDERS = ("Stanford_Online_Products", "online_products", "sop", ".")
LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}
HEADER = ["image_id", "class_id", "super_class_id", "path"]
COUNTS = Counts(22634, 120053, {"train": (11318, 59551), "test": (11316, 60502)})
PUBLICATION = Publication(
    "StanfordOnlineProducts",
    needs="Ebay_train.txt, Ebay_test.txt and the folders <category>_final (or Info_Files/ and images/)",
    layouts=tuple(folder for folder in FOLDERS if folder != "."),
    archives=(
        Archive("Stanford_Online_Products.zip", md5="7f73d41a2f44250d4779881525aea32e"),
        Archive("online_products.tar"),
    ),
    sources=(
        Source(("ftp://cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",)),
        Source(("http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",)),
        Source(("https://www.dropbox.com/s/fu8dgxulf10hns9/online_products.tar?dl=1",)),
    ),
)


@dataclass(frozen=True)
class Layout:
    """Where the lists and the category folders are."""

    text: str
    lists: Path
    images: Path


@dataclass(frozen=True)
class ListedProducts:
    """The rows of a list file."""

    classes: list[int]
    super_classes: list[int]
    items: list[str]


class StanfordOnlineProducts:
    """120,053 photographs of 22,634 products offered on eBay, of 12 kinds.

    root: the folder that holds one of ``FOLDERS`` (or is one); by default ``dataset_root``, the command line's.
    download, sources: see CUB200.

    Level 0 of the labels is the product (``class_id - 1``), level 1 the kind (``super_class_id - 1``). A product is
    named by its number at eBay, a kind by its folder. Published roles: ``train`` and ``test``. Raises UserError if the
    data are missing, or if classes or images are not as many as published.
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
        self.layout = f"{found.text} in {found.images}"
        parts = {role: read_list(found.lists / name) for role, name in LISTS.items()}
        self.index = index_of(parts)
        self.files = listed_files(found.images, self.index.item_names, f"the lists in {found.lists}")
        require_counts("StanfordOnlineProducts", found.lists, self.index, COUNTS)
        self.checksum = files_checksum(self.index, self.files)

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self.files[item], str(self.files[item]))

    @staticmethod
    def find(place: Path) -> str | None:
        """Where it lies below ``place``; None if nowhere."""
        found = find_layout(place)
        return None if found is None else f"{found.text} in {found.images}"


def find_layout(place: Path) -> Layout | None:
    """The first folder below ``place`` with both lists, and with the images beside them or in ``images``."""
    for name in FOLDERS:
        for lists in (place / name, place / name / "Info_Files"):
            if all((lists / file).is_file() for file in LISTS.values()):
                folder = place / name
                images = folder / "images" if (folder / "images").is_dir() else folder
                text = "images/ and lists" if images != folder else "category folders and lists"
                return Layout(text, lists, images)
    return None


def read_list(path: Path) -> ListedProducts:
    """The rows ``image_id class_id super_class_id path`` of a list file, below its header; numbers start at 1."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0].split() != HEADER:
        raise UserError(f"{path}: the first line must be {' '.join(HEADER)!r}.")
    rows = [line.split() for line in lines[1:] if line.strip()]
    for number, row in enumerate(rows, start=2):
        if len(row) != 4 or not all(word.isascii() and word.isdigit() and int(word) for word in row[:3]):
            raise UserError(f"{path}, row {number}: expected three numbers and a path, not {' '.join(row)!r}.")
    return ListedProducts([int(row[1]) for row in rows], [int(row[2]) for row in rows], [row[3] for row in rows])


def product_of(item: str) -> str:
    """A product's number at eBay: the file's name up to the first underscore."""
    return Path(item).name.split("_")[0]


def index_of(parts: dict[str, ListedProducts]) -> DatasetIndex:
    """The index of the lists of all roles, in their order."""
    classes = [number for part in parts.values() for number in part.classes]
    kinds = [number for part in parts.values() for number in part.super_classes]
    items = [item for part in parts.values() for item in part.items]
    products = dict(zip(classes, map(product_of, items), strict=True))
    folders = dict(zip(kinds, (Path(item).parent.name for item in items), strict=True))
    return DatasetIndex(
        labels=np.array([classes, kinds], dtype=np.int64).reshape(2, -1).T - 1,
        class_names=tuple(
            tuple(names.get(number, str(number)) for number in range(1, max(names, default=0) + 1))
            for names in (products, folders)
        ),
        item_names=tuple(items),
        roles=tuple(role for role, part in parts.items() for _ in part.items),
    )
