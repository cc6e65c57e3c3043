"""Published datasets of which something is missing: the message says what, and where it was sought."""

import shutil

import pytest

from powerbench.datasets.cars196 import Cars196
from powerbench.datasets.cub200 import CUB200
from powerbench.datasets.in_shop import InShop
from powerbench.datasets.market1501 import Market1501
from powerbench.datasets.stanford_online_products import StanfordOnlineProducts
from powerbench.datasets.vehicle_id import VehicleID
from powerbench.errors import UserError
from tests.datasets import miniatures as small

PUBLISHED = [CUB200, Cars196, StanfordOnlineProducts, InShop, VehicleID, Market1501]
ON_AGREEMENT = [InShop, VehicleID]


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_without_any_folder_the_places_and_the_next_step_are_named(tmp_path, dataset):
    root = tmp_path / "none"
    with pytest.raises(UserError) as caught:
        dataset(dataset_root=str(root))
    text, publication = str(caught.value), dataset.publication
    assert f"{publication.name} is missing: put {publication.needs} into {root / publication.layouts[0]} " in text
    assert all(layout in text for layout in publication.layouts)
    assert ("by agreement with its authors" if dataset in ON_AGREEMENT else "{download: True}") in text
    assert not root.exists()


@pytest.mark.parametrize(
    ("dataset", "make", "piece", "message"),
    [
        (CUB200, small.birds, "002.B", "holds 2 images in 1 classes; CUB200 has 3 images in 2 classes"),
        (CUB200, small.birds, "001.A/b.jpg", "holds 2 images in 2 classes; CUB200 has 3 images in 2 classes"),
        (Cars196, small.annotation_file, "cars_annos.mat", "Cars196 is missing: put cars_annos.mat and car_ims/"),
        (Cars196, small.annotation_file, "car_ims", "Cars196 is missing: put cars_annos.mat and car_ims/"),
        (Cars196, small.annotation_file, "car_ims/000003.jpg", "1 of the 6 images .* first .*car_ims/000003.jpg"),
        (Cars196, small.official_folders, "cars_test", "Cars196 is missing: .* or cars_train/, cars_test/, devkit/"),
        (Cars196, small.official_folders, "cars_test/00002.jpg", "1 of the 6 images .* first .*cars_test/00002.jpg"),
        (Cars196, small.official_folders, "devkit/cars_train_annos.mat", "cars_train_annos.mat is missing .sought: "),
        (Cars196, small.official_folders, "devkit/cars_meta.mat", "cars_meta.mat is missing .sought: .*devkit.*, .*"),
        (
            Cars196,
            small.official_folders,
            "cars_test_annos_withlabels.mat",
            "cars_test_annos_withlabels.mat is missing",
        ),
        (Cars196, small.class_folders, f"images/{small.CARS[1]}", "holds 5 images in 3 classes; Cars196 has 6 images"),
        (StanfordOnlineProducts, small.sop, "Ebay_test.txt", "is missing: put Ebay_train.txt, Ebay_test.txt and the"),
        (StanfordOnlineProducts, small.sop, "cabinet_final", "2 of the 5 images .* first .*/110715681235_0.JPG"),
        (InShop, small.shop, "Eval", "InShop is missing: put Eval/list_eval_partition.txt and img/ into "),
        (InShop, small.shop, "img", "8 of the 8 images .* first .*/img/WOMEN/Dresses/id_00000001/02_1_front.jpg"),
        (InShop, small.shop, "img/MEN/Denim/id_00000009", "2 of the 8 images in InShop .* first .*/01_1_front.jpg"),
        (VehicleID, small.vehicles, "image", "VehicleID is missing: put image/ and train_test_split/ into "),
        (
            VehicleID,
            small.vehicles,
            "train_test_split/train_list.txt",
            "VehicleID is missing: put image/ and train_test_",
        ),
        (
            VehicleID,
            small.vehicles,
            "train_test_split/test_list_2.txt",
            "test_list_2.txt is missing, .* test images of 'sma",
        ),
        (VehicleID, small.vehicles, "image/0000004.jpg", "1 of the 9 images .* first .*/image/0000004.jpg"),
        (Market1501, small.market, "query", "Market1501 is missing: put bounding_box_train/, query/, bounding_box_te"),
        (Market1501, small.market, small.MARKET[0], "holds 6 images in 4 classes; Market1501 has 7 images in 4"),
    ],
)
def test_a_folder_that_lacks_a_piece_names_it(tmp_path, monkeypatch, dataset, make, piece, message):
    small.let_miniatures_be_whole(monkeypatch)
    folder = tmp_path / dataset.publication.layouts[0]
    make(folder)
    whole = dataset(dataset_root=str(tmp_path))
    assert len(whole.index) == len(whole.files)
    gone = folder / piece
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    with pytest.raises(UserError, match=message) as caught:
        dataset(dataset_root=str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_the_list_without_labels_is_recognised(tmp_path):
    """The devkit's own test list has no classes; the one with labels is another download."""
    small.official_folders(tmp_path / "cars196")
    path = tmp_path / "cars196/cars_test_annos_withlabels.mat"
    small.annotations(path, (*small.BOX, "fname"), [(1, 2, 3, 4, "00001.jpg")])
    with pytest.raises(
        UserError, match=r"annotations lack fname or class; cars_test_annos_withlabels\.mat is the list"
    ):
        Cars196(dataset_root=str(tmp_path))
