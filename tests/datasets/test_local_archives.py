"""An archive that lies in the root becomes a dataset that can be read, in the layout it was packed from."""

import shutil

import pytest

from powerbench.datasets.cars196 import Cars196
from powerbench.datasets.cub200 import CUB200
from powerbench.datasets.in_shop import InShop
from powerbench.datasets.market1501 import Market1501
from powerbench.datasets.stanford_online_products import StanfordOnlineProducts
from powerbench.datasets.vehicle_id import VehicleID
from tests.datasets import miniatures as small

KINDS = {".tgz": "gztar", ".gz": "gztar", ".tar": "tar", ".zip": "zip"}
SOP = StanfordOnlineProducts


def products(folder):
    small.sop(folder, "Info_Files", "images")


def pack(root, name, content, keep=()):
    """Pack what is in ``content`` (but for files to ``keep``, which are put beside the archive) and remove it."""
    for file in keep:
        shutil.move(content / file, root / file)
    made = shutil.make_archive(str(root / "packed"), KINDS[f".{name.rpartition('.')[2]}"], content)
    shutil.move(made, root / name)
    shutil.rmtree(content)


@pytest.fixture(autouse=True)
def miniature(monkeypatch):
    small.let_miniatures_be_whole(monkeypatch)


@pytest.mark.parametrize(
    ("dataset", "make", "inside", "name", "keep", "place"),
    [
        (CUB200, small.birds, "CUB_200_2011/images", "CUB_200_2011.tgz", (), "cub2011/CUB_200_2011/images"),
        (CUB200, small.birds, "cub200/images", "cub200.tar", (), "cub200/images"),
        (Cars196, small.class_folders, "cars196", "cars196.tar", (), "cars196/images"),
        (Cars196, small.annotation_file, ".", "car_ims.tgz", ("cars_annos.mat",), "cars196"),
        (SOP, small.sop, "Stanford_Online_Products", "Stanford_Online_Products.zip", (), "Stanford_Online_Products"),
        (SOP, products, "online_products", "online_products.tar", (), "online_products/images"),
        (InShop, small.shop, ".", "in-shop.zip", (), "in-shop"),
        (VehicleID, small.vehicles, "VehicleID_V1.0", "VehicleID_V1.0.zip", (), "VehicleID_V1.0"),
        (VehicleID, small.vehicles, "VehicleID_V1.0", "VehicleID_V1.0.tar.gz", (), "VehicleID_V1.0"),
        (Market1501, small.market, "Market-1501-v15.09.15", "Market-1501-v15.09.15.zip", (), "Market-1501-v15.09.15"),
    ],
)
def test_it_is_unpacked_and_read(tmp_path, dataset, make, inside, name, keep, place):
    root = tmp_path / "data"
    make(root / "content" / inside)
    pack(root, name, root / "content", keep)
    found = dataset(download=True, dataset_root=str(root))
    assert found.layout.endswith(f" in {root / place}")
    assert {found.image(item).mode for item in range(len(found.index))} == {"RGB"}
    assert dataset(dataset_root=str(root)).checksum == found.checksum


def test_the_official_parts_of_cars_come_in_three_archives_and_a_list(tmp_path):
    small.official_folders(tmp_path / "content")
    shutil.move(tmp_path / "content/cars_test_annos_withlabels.mat", tmp_path)
    for part, name in (("cars_train", "cars_train"), ("cars_test", "cars_test"), ("devkit", "car_devkit")):
        shutil.copytree(tmp_path / "content" / part, tmp_path / "single" / part)
        pack(tmp_path, f"{name}.tgz", tmp_path / "single")
    found = Cars196(download=True, dataset_root=str(tmp_path))
    assert found.layout == f"official folders in {tmp_path}/cars196"
    assert found.index.class_names[0] == tuple(small.CARS)
