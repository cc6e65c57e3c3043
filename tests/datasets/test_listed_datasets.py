"""Datasets that list files describe: Stanford Online Products, In-Shop, VehicleID, Market-1501."""

import numpy as np
import pytest

from powerbench.datasets import in_shop, market1501, stanford_online_products, vehicle_id
from powerbench.datasets.in_shop import InShop, read_partition
from powerbench.datasets.locating import Counts
from powerbench.datasets.market1501 import Market1501
from powerbench.datasets.stanford_online_products import StanfordOnlineProducts
from powerbench.datasets.vehicle_id import VehicleID, index_of, read_list
from powerbench.errors import UserError
from tests.datasets.making import put, write

HEADER = "image_id class_id super_class_id path\n"
SOP_TRAIN = [
    "1 1 1 bicycle_final/111085122871_0.JPG",
    "2 1 1 bicycle_final/111085122871_1.JPG",
    "3 2 1 bicycle_final/111265328556_0.JPG",
]
SOP_TEST = ["4 3 2 cabinet_final/110715681235_0.JPG", "5 3 2 cabinet_final/110715681235_1.JPG"]

IN_SHOP = """8
image_name item_id evaluation_status
img/WOMEN/Dresses/id_00000001/02_1_front.jpg   id_00000001  train
img/WOMEN/Dresses/id_00000001/02_2_side.jpg    id_00000001  train   \t
img/WOMEN/Dresses/id_00000004/03_1_front.jpg   id_00000004  train
img/MEN/Denim/id_00000007/01_1_front.jpg       id_00000007  query
img/MEN/Denim/id_00000007/01_2_side.jpg        id_00000007  gallery
img/MEN/Denim/id_00000007/01_4_full.jpg        id_00000007  gallery
img/MEN/Denim/id_00000009/01_1_front.jpg       id_00000009  query
img/MEN/Denim/id_00000009/01_2_side.jpg        id_00000009  gallery
"""
VEHICLES = "0000001 10\n0000002 10\n0000003 42\n0000004 7\n0000005 42\n0000006 10\n"


def sop(folder, lists="", images=""):
    for name, rows in (("Ebay_train.txt", SOP_TRAIN), ("Ebay_test.txt", SOP_TEST)):
        write(folder / lists / name, HEADER + "\n".join(rows) + "\n")
        put(folder / images, [row.split()[3] for row in rows])


@pytest.mark.parametrize(
    ("name", "lists", "images"),
    [("Stanford_Online_Products", "", ""), ("online_products", "Info_Files", "images"), ("sop", "", ""), (".", "", "")],
)
def test_products_are_read_in_every_layout(tmp_path, monkeypatch, name, lists, images):
    monkeypatch.setattr(stanford_online_products, "COUNTS", Counts(3, 5, {"train": (2, 3), "test": (1, 2)}))
    sop(tmp_path / name, lists, images)
    dataset = StanfordOnlineProducts(dataset_root=str(tmp_path))
    assert dataset.index.labels.tolist() == [[0, 0], [0, 0], [1, 0], [2, 1], [2, 1]]
    assert dataset.index.class_names[0] == ("111085122871", "111265328556", "110715681235")
    assert dataset.index.class_names[1] == ("bicycle_final", "cabinet_final")
    assert dataset.index.roles == ("train",) * 3 + ("test",) * 2
    assert dataset.image(4).size == (12, 9)
    assert StanfordOnlineProducts.find(tmp_path) == dataset.layout


def test_wrong_product_lists_are_named(tmp_path):
    sop(tmp_path / "sop")
    with pytest.raises(UserError, match="holds 5 images in 3 classes; StanfordOnlineProducts has 120053 images"):
        StanfordOnlineProducts(dataset_root=str(tmp_path))
    (tmp_path / "sop/bicycle_final/111265328556_0.JPG").unlink()
    with pytest.raises(UserError, match=r"1 of the 5 images in the lists in .*sop are missing, first .*111265328556_0"):
        StanfordOnlineProducts(dataset_root=str(tmp_path))
    write(tmp_path / "sop/Ebay_train.txt", HEADER + "1 one 1 a/b.JPG\n")
    with pytest.raises(UserError, match=r"Ebay_train.txt, row 2: expected three numbers and a path"):
        StanfordOnlineProducts(dataset_root=str(tmp_path))
    write(tmp_path / "sop/Ebay_train.txt", "1 1 1 a/b.JPG\n")
    with pytest.raises(UserError, match="the first line must be"):
        StanfordOnlineProducts(dataset_root=str(tmp_path))
    (tmp_path / "sop/Ebay_test.txt").unlink()
    with pytest.raises(UserError, match=r"is missing: put Ebay_train.txt, Ebay_test.txt .* into .*/Stanford_Online"):
        StanfordOnlineProducts(dataset_root=str(tmp_path))


def shop(folder, images=""):
    write(folder / "Eval/list_eval_partition.txt", IN_SHOP)
    put(folder / images, [line.split()[0] for line in IN_SHOP.splitlines()[2:]])


SMALL_SHOP = Counts(4, 8, {"train": (2, 3), "query": (2, 2), "gallery": (2, 3)})


@pytest.mark.parametrize("images", ["", "Img"])
@pytest.mark.parametrize("name", ["in-shop", "In-shop Clothes Retrieval Benchmark", "."])
def test_in_shop_has_items_to_train_on_queries_and_a_gallery(tmp_path, monkeypatch, name, images):
    monkeypatch.setattr(in_shop, "COUNTS", SMALL_SHOP)
    shop(tmp_path / name, images)
    dataset = InShop(dataset_root=str(tmp_path))
    labels = dataset.index.labels[:, 0]
    roles = np.array(dataset.index.roles)
    assert labels[roles == "train"].tolist() == [0, 0, 1]
    assert (labels[roles == "query"] - 2).tolist() == [0, 1]
    assert (labels[roles == "gallery"] - 2).tolist() == [0, 0, 1]
    assert dataset.index.class_names[0] == ("id_00000001", "id_00000004", "id_00000007", "id_00000009")
    assert dataset.image(7).mode == "RGB"


def test_equal_numbers_in_training_and_test_are_different_items():
    rows = [in_shop.Row("a", 3, "train"), in_shop.Row("b", 3, "query"), in_shop.Row("c", 3, "gallery")]
    assert in_shop.index_of(rows).labels[:, 0].tolist() == [0, 1, 1]


def test_in_shop_in_high_resolution_reads_the_other_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(in_shop, "COUNTS", SMALL_SHOP)
    shop(tmp_path / "in-shop")
    with pytest.raises(UserError, match="img_highres"):
        InShop(high_resolution=True, dataset_root=str(tmp_path))
    (tmp_path / "in-shop/img").rename(tmp_path / "in-shop/img_highres")
    dataset = InShop(high_resolution=True, dataset_root=str(tmp_path))
    assert "img_highres" in str(dataset.files[0])
    assert dataset.index.item_names[0].startswith("img/")


def test_a_cut_off_partition_file_is_refused(tmp_path):
    path = tmp_path / "list.txt"
    write(path, "".join(IN_SHOP.splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="announces 8 rows but has 7"):
        read_partition(path)
    write(path, IN_SHOP.replace("id_00000009  query", "id_00000009  probe"))
    with pytest.raises(UserError, match=r"row 9: expected a path, id_<number> and train\|query\|gallery"):
        read_partition(path)
    write(path, "x" + IN_SHOP)
    with pytest.raises(UserError, match="expected the number of rows"):
        read_partition(path)


def vehicles(folder):
    write(folder / "train_test_split/train_list.txt", VEHICLES)
    write(folder / "train_test_split/test_list_800.txt", "0000007 10\n0000008 3\n0000009 3\n")
    put(folder / "image", [f"000000{n}.jpg" for n in range(1, 10)])


def test_vehicles_are_numbered_part_by_part(tmp_path):
    write(tmp_path / "list.txt", VEHICLES)
    index = index_of({"train": read_list(tmp_path / "list.txt")})
    assert index.item_names[0] == "image/0000001.jpg"
    assert index.labels[:, 0].tolist() == [1, 1, 2, 0, 2, 1]


@pytest.mark.parametrize("name", ["vehicle-id/VehicleID_V1.0", "VehicleID_V1.0", "."])
def test_vehicle_id_has_a_training_list_and_the_chosen_test_list(tmp_path, monkeypatch, name):
    monkeypatch.setattr(vehicle_id, "TRAIN_VEHICLES", 3)
    monkeypatch.setattr(vehicle_id, "TEST_VEHICLES", {"small": 2, "large": 2400})
    vehicles(tmp_path / name)
    (tmp_path / name / "train_test_split/test_list_800.txt").rename(
        tmp_path / name / "train_test_split/test_list_2.txt"
    )
    dataset = VehicleID(dataset_root=str(tmp_path))
    assert dataset.index.labels[:, 0].tolist() == [1, 1, 2, 0, 2, 1, 4, 3, 3]
    assert dataset.index.class_names[0] == ("7", "10", "42", "3", "10")
    assert dataset.index.roles == ("train",) * 6 + ("test",) * 3
    with pytest.raises(UserError, match=r"test_list_2400.txt is missing, which lists the test images of 'large'"):
        VehicleID("large", dataset_root=str(tmp_path))
    with pytest.raises(UserError, match="test_list is small, large, not 'huge'"):
        VehicleID("huge", dataset_root=str(tmp_path))


def test_wrong_vehicle_lists_are_named(tmp_path):
    vehicles(tmp_path / "VehicleID_V1.0")
    with pytest.raises(UserError, match=r"train_list.txt lists 3 vehicles instead of 13164"):
        VehicleID(dataset_root=str(tmp_path))
    write(tmp_path / "list.txt", "0000001\n")
    with pytest.raises(UserError, match="row 1: expected an image's name and a vehicle's number"):
        read_list(tmp_path / "list.txt")
    with pytest.raises(UserError, match="name 1 images more than once"):
        index_of({"train": [("image/1.jpg", 1)], "test": [("image/1.jpg", 1)]})
    with pytest.raises(UserError, match="by agreement with its authors"):
        VehicleID(dataset_root=str(tmp_path / "none"))


MARKET = [
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/0002_c2s1_000451_03.jpg",
    "bounding_box_train/0007_c3s3_077419_03.jpg",
    "query/0003_c1s1_000001_00.jpg",
    "bounding_box_test/-1_c1s1_000401_03.jpg",
    "bounding_box_test/0000_c1s1_000151_01.jpg",
    "bounding_box_test/0003_c1s1_000002_01.jpg",
    "bounding_box_test/0003_c4s1_000003_01.jpg",
]


@pytest.mark.parametrize("name", ["Market-1501-v15.09.15", "market1501", "."])
def test_market_has_persons_cameras_and_roles(tmp_path, monkeypatch, name):
    put(tmp_path / name, MARKET)
    write(tmp_path / name / "query/Thumbs.db", "")
    with pytest.raises(UserError, match="holds 7 images in 4 classes; Market1501 has 32217 images in 1502 classes"):
        Market1501(dataset_root=str(tmp_path))
    small = Counts(4, 7, {"train": (2, 3), "query": (1, 1), "gallery": (2, 3)})
    monkeypatch.setattr(market1501, "COUNTS", small)
    dataset = Market1501(dataset_root=str(tmp_path))
    assert dataset.index.labels.tolist() == [[1, 0], [1, 1], [3, 2], [2, 0], [0, 0], [2, 0], [2, 3]]
    assert dataset.index.class_names == (("0000", "0002", "0003", "0007"), ("c1", "c2", "c3", "c4"))
    assert dataset.index.roles == ("train",) * 3 + ("query",) + ("gallery",) * 3
    put(tmp_path / name, ["query/someone.jpg"])
    with pytest.raises(UserError, match=r"someone.jpg is not named like Market-1501's images"):
        Market1501(dataset_root=str(tmp_path))
