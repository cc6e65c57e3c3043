"""Stanford Online Products."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from powerbench.datasets.archives import Archive, Source
from powerbench.datasets.lists import is_number, read_lines, refuse_repeated
from powerbench.datasets.locating import Counts, Layout, Publication
from powerbench.datasets.published import PublishedDataset
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}
HEADER = ["image_id", "class_id", "super_class_id", "path"]
PRODUCTS, KINDS = 22634, 12


@dataclass(frozen=True)
class ListedProducts:
    """The rows of a list file."""

    classes: list[int]
    super_classes: list[int]
    items: list[str]


class StanfordOnlineProducts(PublishedDataset):
    """120,053 photographs of 22,634 products offered on eBay, of 12 kinds.

    Level 0 of the labels is the product (``class_id - 1``), level 1 the kind (``super_class_id - 1``). A product is
    named by its number at eBay, a kind by its folder. Published roles: ``train`` and ``test``.
    """

    publication = Publication(
        "StanfordOnlineProducts",
        needs="Ebay_train.txt, Ebay_test.txt and the folders <category>_final (or Info_Files/ and images/)",
        layouts=("Stanford_Online_Products", "online_products", "sop"),
        archives=(
            Archive("Stanford_Online_Products.zip", md5="7f73d41a2f44250d4779881525aea32e"),
            Archive("online_products.tar"),
        ),
        sources=(
            Source(("ftp://cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",)),
            Source(("http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",)),
            Source(("https://www.dropbox.com/s/fu8dgxulf10hns9/online_products.tar?dl=1",)),
        ),
        counts=Counts(PRODUCTS, 120053, {"train": (11318, 59551), "test": (11316, 60502)}),
    )

    @staticmethod
    def layout_in(folder: Path) -> Layout | None:
        """A folder with both lists, and with the images beside them or in ``images``."""
        if _lists(folder) is None:
            return None
        if (folder / "images").is_dir():
            return Layout("images/ and lists", folder, below="images")
        return Layout("category folders and lists", folder)

    def read(self, found: Layout) -> DatasetIndex:
        """The products of both lists."""
        lists = _lists(found.folder) or found.folder
        parts = {role: read_list(lists / name) for role, name in LISTS.items()}
        refuse_repeated((item for part in parts.values() for item in part.items), str(lists))
        return index_of(parts)


def _lists(folder: Path) -> Path | None:
    """The folder that holds both lists."""
    places = (folder, folder / "Info_Files")
    return next((place for place in places if all((place / name).is_file() for name in LISTS.values())), None)


def read_list(path: Path) -> ListedProducts:
    """The rows ``image_id class_id super_class_id path`` of a list file, below its header; numbers start at 1."""
    lines = read_lines(path)
    if not lines or lines[0].split() != HEADER:
        raise UserError(f"{path}: the first line must be {' '.join(HEADER)!r}.")
    rows = [line.split() for line in lines[1:] if line.strip()]
    for number, row in enumerate(rows, start=2):
        if len(row) != 4 or not all(is_number(word) and int(word) for word in row[:3]):
            raise UserError(f"{path}, row {number}: expected three numbers and a path, not {' '.join(row)!r}.")
        if int(row[1]) > PRODUCTS or int(row[2]) > KINDS:
            raise UserError(
                f"{path}, row {number}: class_id goes up to {PRODUCTS} and super_class_id up to {KINDS}, "
                f"not {row[1]} and {row[2]}."
            )
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
