"""Miniature copies of published datasets in their own folders and file formats, and how much is in them."""

from dataclasses import replace

import numpy as np
from scipy.io import savemat

from powerbench.datasets import vehicle_id
from powerbench.datasets.cars196 import Cars196
from powerbench.datasets.cub200 import CUB200
from powerbench.datasets.in_shop import InShop
from powerbench.datasets.locating import Counts
from powerbench.datasets.market1501 import Market1501
from powerbench.datasets.stanford_online_products import StanfordOnlineProducts
from tests.datasets.making import put, write


def birds(folder):
    put(folder, ["001.A/a.jpg", "001.A/b.jpg", "002.B/c.jpg"])


BIRD_COUNTS = Counts(2, 3, {"first half": (1, 2), "second half": (1, 1)})
BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
CARS = [
    "AM General Hummer SUV 2000",
    "Audi TTS Coupe 2012",
    "Ram C-V Cargo Van Minivan 2012",
    "smart fortwo Convertible 2012",
]
CLASSES = [1, 1, 2, 3, 4, 4]
CARS_COUNTS = Counts(4, 6, {"first half": (2, 3), "second half": (2, 3)})


def annotations(path, fields, rows, class_names=()):
    """A struct array as MATLAB writes it, cells of one number or text each."""
    records = np.zeros((1, len(rows)), dtype=[(name, object) for name in fields])
    for place, row in enumerate(rows):
        records[0, place] = tuple(np.array([[value]]) if isinstance(value, int) else value for value in row)
    content = {"annotations": records}
    if class_names:
        content["class_names"] = np.array([class_names], dtype=object)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, content)


def annotation_file(folder, classes=CLASSES, names=CARS):
    items = [f"car_ims/{number:06d}.jpg" for number in range(1, len(classes) + 1)]
    rows = [(item, 1, 2, 3, 4, label, 0) for item, label in zip(items, classes, strict=True)]
    annotations(folder / "cars_annos.mat", ("relative_im_path", *BOX, "class", "test"), rows, names)
    put(folder, items)


def official_folders(folder, devkit_test=False):
    for part, name, classes in (
        ("cars_train", "devkit/cars_train_annos.mat", CLASSES[:2] + CLASSES[3:5]),
        ("cars_test", "devkit/" * devkit_test + "cars_test_annos_withlabels.mat", [CLASSES[2], CLASSES[5]]),
    ):
        rows = [(1, 2, 3, 4, label, f"{n:05d}.jpg") for n, label in enumerate(classes, start=1)]
        annotations(folder / name, (*BOX, "class", "fname"), rows)
        put(folder / part, [row[-1] for row in rows])
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array([CARS], dtype=object)})


def class_folders(folder):
    put(folder / "images", [f"{CARS[label - 1]}/{n:05d}.jpg" for n, label in enumerate(CLASSES)])
    (folder / "images" / CARS[0] / "._00000.jpg").touch()


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
SOP_COUNTS = Counts(3, 5, {"train": (2, 3), "test": (1, 2)})


def sop(folder, lists="", images=""):
    for name, rows in (("Ebay_train.txt", SOP_TRAIN), ("Ebay_test.txt", SOP_TEST)):
        write(folder / lists / name, HEADER + "\n".join(rows) + "\n")
        put(folder / images, [row.split()[3] for row in rows])


def shop(folder, images=""):
    write(folder / "Eval/list_eval_partition.txt", IN_SHOP)
    put(folder / images, [line.split()[0] for line in IN_SHOP.splitlines()[2:]])


SHOP_COUNTS = Counts(4, 8, {"train": (2, 3), "query": (2, 2), "gallery": (2, 3)})


def vehicles(folder):
    write(folder / "train_test_split/train_list.txt", VEHICLES)
    write(folder / "train_test_split/test_list_2.txt", "0000007 10\n0000008 3\n0000009 3\n")
    put(folder / "image", [f"000000{n}.jpg" for n in range(1, 10)])


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
MARKET_COUNTS = Counts(4, 7, {"train": (2, 3), "query": (1, 1), "gallery": (2, 3)})


def market(folder):
    put(folder, MARKET)


COUNTS = {
    CUB200: BIRD_COUNTS,
    Cars196: CARS_COUNTS,
    StanfordOnlineProducts: SOP_COUNTS,
    InShop: SHOP_COUNTS,
    Market1501: MARKET_COUNTS,
}


def let_miniatures_be_whole(monkeypatch):
    """Let the miniatures have all that was published, in archives whose checksums nobody knows."""
    for dataset, counts in COUNTS.items():
        archives = tuple(replace(archive, md5=None) for archive in dataset.publication.archives)
        publication = replace(dataset.publication, counts=counts, archives=archives)
        monkeypatch.setattr(dataset, "publication", publication)
    monkeypatch.setattr(vehicle_id, "TRAIN_VEHICLES", 3)
    monkeypatch.setattr(vehicle_id, "TEST_VEHICLES", {"small": 2, "large": 2400})
