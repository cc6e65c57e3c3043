"""Datasets that list files describe: Stanford Online Products, In-Shop, VehicleID, Market-1501."""

import numpy as np
import pytest

from powerbench.datasets import in_shop, vehicle_id
from powerbench.datasets.in_shop import InShop, read_partition
from powerbench.datasets.market1501 import Market1501
from powerbench.datasets.stanford_online_products import StanfordOnlineProducts
from powerbench.datasets.vehicle_id import VehicleID, index_of, read_list
from powerbench.errors import UserError
from split_managers.predefined_split_manager import PredefinedSplitManager
from tests.datasets.making import let_there_be, put, write
from tests.datasets.miniatures import (
    HEADER,
    IN_SHOP,
    MARKET_COUNTS,
    SHOP_COUNTS,
    SOP_COUNTS,
    VEHICLES,
    let_miniatures_be_whole,
    market,
    shop,
    sop,
    vehicles,
)


@pytest.mark.parametrize("name", [*StanfordOnlineProducts.publication.layouts, "."])
@pytest.mark.parametrize(("lists", "images"), [("", ""), ("Info_Files", "images"), ("", "images")])
def test_products_are_read_in_every_layout(tmp_path, monkeypatch, name, lists, images):
    let_there_be(monkeypatch, StanfordOnlineProducts, SOP_COUNTS)
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
    with pytest.raises(
        UserError, match=r"1 of the 5 images in .*\(.* lists in .*sop\) are missing, first .*111265328556_0"
    ):
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


@pytest.mark.parametrize("numbers", ["999999999999 1", "1 999999999999", "22635 1", "1 13"])
def test_numbers_beyond_the_published_products_are_refused(tmp_path, numbers):
    sop(tmp_path / "sop")
    write(tmp_path / "sop/Ebay_train.txt", f"{HEADER}1 {numbers} a/1.JPG\n")
    with pytest.raises(
        UserError, match=r"Ebay_train.txt, row 2: class_id goes up to 22634 and super_class_id up to 12"
    ):
        StanfordOnlineProducts(dataset_root=str(tmp_path))


@pytest.mark.parametrize(
    ("dataset", "make", "name", "row"),
    [
        (StanfordOnlineProducts, sop, "Ebay_test.txt", "9 3 2 bicycle_final/111085122871_0.JPG"),
        (InShop, shop, "Eval/list_eval_partition.txt", "img/MEN/Denim/id_00000009/01_1_front.jpg id_00000009 gallery"),
        (VehicleID, vehicles, "train_test_split/test_list_2.txt", "0000001 3"),
    ],
)
def test_a_list_that_is_no_text_or_names_an_image_twice_is_named(tmp_path, monkeypatch, dataset, make, name, row):
    let_miniatures_be_whole(monkeypatch)
    folder = tmp_path / dataset.publication.layouts[0]
    make(folder)
    text = (folder / name).read_text()
    (folder / name).write_bytes(text.encode() + b"\xff\n")
    with pytest.raises(UserError, match=f"{name}, line {len(text.splitlines()) + 1} cannot be read as UTF-8"):
        dataset(dataset_root=str(tmp_path))
    write(folder / name, text.replace("8\n", "9\n", 1) + row + "\n" if dataset is InShop else text + row + "\n")
    with pytest.raises(UserError, match=r"lists .*(111085122871_0\.JPG|01_1_front\.jpg|0000001\.jpg) twice"):
        dataset(dataset_root=str(tmp_path))


@pytest.mark.parametrize("number", ["²", "٣", "9" * 5000])
def test_only_plain_digits_are_numbers(tmp_path, number):
    path = tmp_path / "list.txt"
    write(path, f"1 {number}\n")
    with pytest.raises(UserError, match="row 1: expected an image's name and a vehicle's number"):
        read_list(path)
    for text in (IN_SHOP.replace("8", number, 1), IN_SHOP.replace("id_00000009  query", f"id_{number}  query")):
        write(path, text)
        with pytest.raises(UserError, match=r"expected (the number of rows|a path, id_<number>)"):
            read_partition(path)


@pytest.mark.parametrize("images", ["", "Img"])
@pytest.mark.parametrize("name", [*InShop.publication.layouts, "."])
def test_in_shop_has_items_to_train_on_queries_and_a_gallery(tmp_path, monkeypatch, name, images):
    let_there_be(monkeypatch, InShop, SHOP_COUNTS)
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


@pytest.mark.parametrize("images", ["", "Img"])
def test_in_shop_in_high_resolution_reads_the_other_folder(tmp_path, monkeypatch, images):
    let_there_be(monkeypatch, InShop, SHOP_COUNTS)
    shop(tmp_path / "in-shop", images)
    with pytest.raises(UserError, match="img_highres"):
        InShop(high_resolution=True, dataset_root=str(tmp_path))
    folder = tmp_path / "in-shop" / images
    (folder / "img").rename(folder / "img_highres")
    dataset = InShop(high_resolution=True, dataset_root=str(tmp_path))
    assert dataset.layout == f"img_highres/ and list_eval_partition.txt in {folder}"
    assert dataset.files[0] == folder / "img_highres/WOMEN/Dresses/id_00000001/02_1_front.jpg"
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


def test_vehicles_are_numbered_and_looked_up_by_either_protocol(tmp_path):
    write(tmp_path / "list.txt", VEHICLES)
    rows = read_list(tmp_path / "list.txt")
    index = index_of({"test": rows, "train": [("image/8.jpg", 1), ("image/9.jpg", 2)]})
    labels = index.labels[:6, 0]
    assert index.item_names[:6] == tuple(f"image/000000{n}.jpg" for n in range(1, 7))
    assert labels.tolist() == [1, 1, 2, 0, 2, 1]
    assert index.class_names[0][:3] == ("7", "10", "42")
    everyone, drawn = (
        PredefinedSplitManager(test_protocol=protocol, use_tv_split=True, tv_split_perc=0.5)
        .folds(index)[0]
        .tests["test"]
        for protocol in ("all", "one_reference_per_class")
    )
    assert (everyone.query.tolist(), everyone.reference) == ([0, 1, 2, 3, 4, 5], None)
    assert [int((labels == label).sum()) - 1 for label in labels] == [2, 2, 1, 0, 1, 2]  # image 4 has no match
    assert [(len(query), len(reference)) for query, reference in drawn.draws] == [(3, 3)] * 10
    assert all(sorted(labels[reference]) == [0, 1, 2] for _, reference in drawn.draws)


@pytest.mark.parametrize("name", [*VehicleID.publication.layouts, "."])
def test_vehicle_id_has_a_training_list_and_the_chosen_test_list(tmp_path, monkeypatch, name):
    let_miniatures_be_whole(monkeypatch)
    vehicles(tmp_path / name)
    dataset = VehicleID(dataset_root=str(tmp_path))
    assert dataset.layout == f"test list small, image/ and train_test_split/ in {tmp_path / name}"
    assert dataset.index.labels[:, 0].tolist() == [1, 1, 2, 0, 2, 1, 4, 3, 3]
    assert dataset.index.class_names[0] == ("7", "10", "42", "3", "10")
    assert dataset.index.roles == ("train",) * 6 + ("test",) * 3
    with pytest.raises(UserError, match=r"test_list_2400.txt is missing, which lists the test images of 'large'"):
        VehicleID("large", dataset_root=str(tmp_path))
    with pytest.raises(UserError, match="test_list is small, large, not 'huge'"):
        VehicleID("huge", dataset_root=str(tmp_path))
    with pytest.raises(UserError, match=r"test_list is small, large, not \['small'\]"):
        VehicleID(["small"], dataset_root=str(tmp_path))


def test_wrong_vehicle_lists_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(vehicle_id, "TEST_VEHICLES", {"small": 2})
    vehicles(tmp_path / "VehicleID_V1.0")
    with pytest.raises(UserError, match=r"train_list.txt lists 3 vehicles instead of 13164"):
        VehicleID(dataset_root=str(tmp_path))
    write(tmp_path / "list.txt", "0000001\n")
    with pytest.raises(UserError, match="row 1: expected an image's name and a vehicle's number"):
        read_list(tmp_path / "list.txt")
    with pytest.raises(UserError, match=r"VehicleID lists image/1\.jpg twice"):
        index_of({"train": [("image/1.jpg", 1)], "test": [("image/1.jpg", 1)]})


@pytest.mark.parametrize("name", [*Market1501.publication.layouts, "."])
def test_market_has_persons_cameras_and_roles(tmp_path, monkeypatch, name):
    market(tmp_path / name)
    write(tmp_path / name / "query/Thumbs.db", "")
    with pytest.raises(UserError, match="holds 7 images in 4 classes; Market1501 has 32217 images in 1502 classes"):
        Market1501(dataset_root=str(tmp_path))
    let_there_be(monkeypatch, Market1501, MARKET_COUNTS)
    dataset = Market1501(dataset_root=str(tmp_path))
    assert dataset.index.labels.tolist() == [[1, 0], [1, 1], [3, 2], [2, 0], [0, 0], [2, 0], [2, 3]]
    assert dataset.index.class_names == (("0000", "0002", "0003", "0007"), ("c1", "c2", "c3", "c4"))
    assert dataset.index.roles == ("train",) * 3 + ("query",) + ("gallery",) * 3
    put(tmp_path / name, ["query/someone.jpg"])
    with pytest.raises(UserError, match=r"someone.jpg is not named like Market-1501's images"):
        Market1501(dataset_root=str(tmp_path))
