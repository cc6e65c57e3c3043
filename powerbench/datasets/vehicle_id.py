"""PKU VehicleID."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbench.datasets.archives import Archive
from powerbench.datasets.image_files import decode_image, files_checksum, listed_files, single_level_index
from powerbench.datasets.locating import Publication, locate
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

if TYPE_CHECKING:
    from PIL import Image

FOLDERS = ("vehicle-id/VehicleID_V1.0", "VehicleID_V1.0", "vehicle-id", "VehicleID", ".")
LISTS, TRAIN_LIST = "train_test_split", "train_list.txt"
TEST_VEHICLES = {"small": 800, "medium": 1600, "large": 2400}
TRAIN_VEHICLES = 13164
PUBLICATION = Publication(
    "VehicleID",
    needs=f"image/ and {LISTS}/",
    layouts=tuple(folder for folder in FOLDERS if folder != "."),
    archives=(Archive("VehicleID_V1.0.zip"), Archive("VehicleID_V1.0.tar.gz")),
)


class VehicleID:
    """Photographs of 13,164 vehicles to train on, and of 800, 1,600 or 2,400 others to test on.

    test_list: ``small``, ``medium`` or ``large``.
    root: the folder that holds one of ``FOLDERS`` (or is one); by default ``dataset_root``, the command line's.
    download, sources: see CUB200; the data are given by agreement with their authors, so that only local archives
    and your own sources can be tried.

    Published roles: ``train`` and ``test``. Who is looked up among whom is the split manager's choice:
    ``PredefinedSplitManager`` with ``test_protocol`` ``all`` (every image among all others) or
    ``one_reference_per_class`` (re-identification); their numbers are not comparable. Vehicles are counted;
    the published numbers of images contradict each other, so they are not.
    """

    def __init__(
        self,
        test_list: str = "small",
        root: str | None = None,
        download: bool = False,
        sources: Sequence[Any] = (),
        *,
        dataset_root: str = "datasets",
    ) -> None:
        if test_list not in TEST_VEHICLES:
            raise UserError(f"test_list is {', '.join(TEST_VEHICLES)}, not {test_list!r}.", where="VehicleID/test_list")
        folder = locate(PUBLICATION, find_folder, root, dataset_root, download=download, sources=sources)
        self.layout = f"image/ and {LISTS}/ in {folder}, test list {test_list}"
        paths = {"train": folder / LISTS / TRAIN_LIST, "test": _test_list(folder, test_list)}
        self.index = index_of({role: read_list(path) for role, path in paths.items()})
        self.files = listed_files(folder, self.index.item_names, f"the lists in {folder / LISTS}")
        for role, expected in (("train", TRAIN_VEHICLES), ("test", TEST_VEHICLES[test_list])):
            found = {
                label for label, had in zip(self.index.labels[:, 0], self.index.roles or (), strict=True) if had == role
            }
            if len(found) != expected:
                raise UserError(f"{paths[role]} lists {len(found)} vehicles instead of {expected}: it was changed.")
        self.checksum = files_checksum(self.index, self.files)

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self.files[item], str(self.files[item]))

    @staticmethod
    def find(place: Path) -> str | None:
        """Where it lies below ``place``; None if nowhere."""
        folder = find_folder(place)
        return None if folder is None else f"image/ and {LISTS}/ in {folder}"


def find_folder(place: Path) -> Path | None:
    """The first folder below ``place`` with the training list and the images."""
    folders = (place / name for name in FOLDERS)
    return next((f for f in folders if (f / LISTS / TRAIN_LIST).is_file() and (f / "image").is_dir()), None)


def _test_list(folder: Path, name: str) -> Path:
    path = folder / LISTS / f"test_list_{TEST_VEHICLES[name]}.txt"
    if not path.is_file():
        raise UserError(f"VehicleID: {path} is missing, which lists the test images of {name!r}.")
    return path


def read_list(path: Path) -> list[tuple[str, int]]:
    """The rows ``<name> <vehicle>`` of a list file, as (item name, vehicle)."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not row[1].isdigit():
            raise UserError(
                f"{path}, row {number}: expected an image's name and a vehicle's number, not {' '.join(row)!r}."
            )
    return [(f"image/{name}.jpg", int(vehicle)) for name, vehicle in rows]


def index_of(parts: dict[str, list[tuple[str, int]]]) -> DatasetIndex:
    """Vehicles numbered part by part, in the order of their published numbers."""
    keys = [key for role, rows in parts.items() for key in sorted({(role, vehicle) for _, vehicle in rows})]
    label = {key: number for number, key in enumerate(keys)}
    listed = [(role, item, vehicle) for role, rows in parts.items() for item, vehicle in rows]
    twice = len(listed) - len({item for _, item, _ in listed})
    if twice:
        raise UserError(f"VehicleID: the lists name {twice} images more than once.")
    return single_level_index(
        [str(vehicle) for _, vehicle in keys],
        [label[role, vehicle] for role, _, vehicle in listed],
        [item for _, item, _ in listed],
        roles=[role for role, _, _ in listed],
    )
