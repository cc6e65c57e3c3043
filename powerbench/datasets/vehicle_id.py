"""PKU VehicleID."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from powerbench.datasets.archives import Archive
from powerbench.datasets.image_files import single_level_index
from powerbench.datasets.lists import is_number, read_lines, refuse_repeated
from powerbench.datasets.locating import Layout, Publication
from powerbench.datasets.published import PublishedDataset
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

LISTS, TRAIN_LIST = "train_test_split", "train_list.txt"
TEST_VEHICLES = {"small": 800, "medium": 1600, "large": 2400}
TRAIN_VEHICLES = 13164


class VehicleID(PublishedDataset):
    """Photographs of 13,164 vehicles to train on, and of 800, 1,600 or 2,400 others to test on.

    test_list: ``small``, ``medium`` or ``large``.
    root, download, sources: see PublishedDataset; the data are given by agreement with their authors, so that only
    local archives and your own sources can be tried.

    Published roles: ``train`` and ``test``. Who is looked up among whom is the split manager's choice:
    ``PredefinedSplitManager`` with ``test_protocol`` ``all`` (every image among all others) or
    ``one_reference_per_class`` (re-identification); their numbers are not comparable. Vehicles are counted;
    the published numbers of images contradict each other, so they are not.
    """

    publication = Publication(
        "VehicleID",
        needs=f"image/ and {LISTS}/",
        layouts=("vehicle-id/VehicleID_V1.0", "VehicleID_V1.0", "vehicle-id", "VehicleID"),
        archives=(Archive("VehicleID_V1.0.zip"), Archive("VehicleID_V1.0.tar.gz")),
    )

    def __init__(
        self,
        test_list: str = "small",
        root: str | None = None,
        download: bool = False,
        sources: Sequence[Any] = (),
        *,
        dataset_root: str = "datasets",
    ) -> None:
        if test_list not in tuple(TEST_VEHICLES):
            raise UserError(f"test_list is {', '.join(TEST_VEHICLES)}, not {test_list!r}.", where="VehicleID/test_list")
        self._test_list = test_list
        super().__init__(root, download, sources, dataset_root=dataset_root)
        self.layout = f"test list {test_list}, {self.layout}"

    @staticmethod
    def layout_in(folder: Path) -> Layout | None:
        """A folder with the training list and the images."""
        whole = (folder / LISTS / TRAIN_LIST).is_file() and (folder / "image").is_dir()
        return Layout(f"image/ and {LISTS}/", folder) if whole else None

    def read(self, found: Layout) -> DatasetIndex:
        """The vehicles of the training list and of the chosen test list, counted."""
        expected = {"train": TRAIN_VEHICLES, "test": TEST_VEHICLES[self._test_list]}
        paths = {"train": found.folder / LISTS / TRAIN_LIST, "test": _test_list(found.folder, self._test_list)}
        parts = {role: read_list(path) for role, path in paths.items()}
        for role, rows in parts.items():
            vehicles = len({vehicle for _, vehicle in rows})
            if vehicles != expected[role]:
                raise UserError(f"{paths[role]} lists {vehicles} vehicles instead of {expected[role]}: it was changed.")
        return index_of(parts)


def _test_list(folder: Path, name: str) -> Path:
    path = folder / LISTS / f"test_list_{TEST_VEHICLES[name]}.txt"
    if not path.is_file():
        raise UserError(f"VehicleID: {path} is missing, which lists the test images of {name!r}.")
    return path


def read_list(path: Path) -> list[tuple[str, int]]:
    """The rows ``<name> <vehicle>`` of a list file, as (item name, vehicle)."""
    rows = [line.split() for line in read_lines(path) if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not is_number(row[1]):
            raise UserError(
                f"{path}, row {number}: expected an image's name and a vehicle's number, not {' '.join(row)!r}."
            )
    return [(f"image/{name}.jpg", int(vehicle)) for name, vehicle in rows]


def index_of(parts: dict[str, list[tuple[str, int]]]) -> DatasetIndex:
    """Vehicles numbered part by part, in the order of their published numbers."""
    keys = [key for role, rows in parts.items() for key in sorted({(role, vehicle) for _, vehicle in rows})]
    label = {key: number for number, key in enumerate(keys)}
    listed = [(role, item, vehicle) for role, rows in parts.items() for item, vehicle in rows]
    refuse_repeated((item for _, item, _ in listed), "VehicleID")
    return single_level_index(
        [str(vehicle) for _, vehicle in keys],
        [label[role, vehicle] for role, _, vehicle in listed],
        [item for _, item, _ in listed],
        roles=[role for role, _, _ in listed],
    )
