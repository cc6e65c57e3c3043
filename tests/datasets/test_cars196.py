import numpy as np
import pytest
from scipy.io import savemat

from powerbench.datasets import cars196
from powerbench.datasets.cars196 import Cars196, read_annotation_file
from powerbench.datasets.locating import Counts
from powerbench.errors import UserError
from tests.datasets.making import put

BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
CARS = [
    "AM General Hummer SUV 2000",
    "Audi TTS Coupe 2012",
    "Ram C-V Cargo Van Minivan 2012",
    "smart fortwo Convertible 2012",
]
CLASSES = [1, 1, 2, 3, 4, 4]
SMALL = Counts(4, 6, {"first half": (2, 3), "second half": (2, 3)})


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


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(cars196, "COUNTS", SMALL)


@pytest.mark.parametrize("make", [annotation_file, official_folders, class_folders])
@pytest.mark.parametrize("name", ["cars196", "CARS196", "."])
def test_every_layout_is_found_and_gives_the_same_classes(tmp_path, small, make, name):
    make(tmp_path / name)
    dataset = Cars196(dataset_root=str(tmp_path))
    assert make.__name__.replace("_", " ") in dataset.layout
    assert Cars196.find(tmp_path) == dataset.layout
    assert dataset.index.class_names == (tuple(CARS),)
    assert sorted(dataset.index.labels[:, 0].tolist()) == [label - 1 for label in CLASSES]
    assert [dataset.image(item).mode for item in range(6)] == ["RGB"] * 6
    assert len(dataset.files) == 6


def test_the_same_number_in_both_official_folders_is_two_images(tmp_path, small):
    official_folders(tmp_path, devkit_test=True)
    names = Cars196(dataset_root=str(tmp_path)).index.item_names
    assert {"cars_train/00001.jpg", "cars_test/00001.jpg"} <= set(names)


def test_the_published_annotation_records_are_read(tmp_path):
    annotation_file(tmp_path, [1, 1, 2, 98, 99, 196], names=())
    labels, names, items = read_annotation_file(tmp_path)
    assert labels == [0, 0, 1, 97, 98, 195]
    assert sum(label < 98 for label in labels) == 4
    assert items[0] == "car_ims/000001.jpg"
    assert (len(names), names[195]) == (196, "196")


def test_all_images_and_both_halves_are_counted(tmp_path, monkeypatch):
    annotation_file(tmp_path / "cars196")
    with pytest.raises(UserError, match="holds 6 images in 4 classes; Cars196 has 16185 images in 196 classes"):
        Cars196(dataset_root=str(tmp_path))
    monkeypatch.setattr(cars196, "COUNTS", Counts(4, 6, {"first half": (2, 4), "second half": (2, 2)}))
    with pytest.raises(UserError, match="holds 3 images in 2 classes; the part 'first half' of Cars196 has 4 images"):
        Cars196(dataset_root=str(tmp_path))


def test_partial_folders_name_what_is_missing(tmp_path, small):
    with pytest.raises(UserError, match=r"Cars196 is missing: put cars_annos.mat and car_ims/, .* into .*/cars196 \("):
        Cars196(dataset_root=str(tmp_path))
    folder = tmp_path / "cars196"
    annotation_file(folder)
    (folder / "car_ims/000003.jpg").unlink()
    with pytest.raises(UserError, match=r"1 of the 6 images in annotation file are missing, first .*000003.jpg"):
        Cars196(dataset_root=str(tmp_path))
    (folder / "cars_annos.mat").write_bytes(b"no mat file")
    with pytest.raises(UserError, match=r"cars_annos.mat cannot be read as a .mat file"):
        Cars196(dataset_root=str(tmp_path))
    other = tmp_path / "other"
    official_folders(other / "CARS196")
    (other / "CARS196/cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(UserError, match=r"cars_test_annos_withlabels.mat is missing"):
        Cars196(dataset_root=str(other))


def test_annotations_of_something_else_are_refused(tmp_path, small):
    folder = tmp_path / "cars196"
    annotations(folder / "cars_annos.mat", ("path", "class"), [("car_ims/1.jpg", 1)])
    put(folder, ["car_ims/1.jpg"])
    with pytest.raises(UserError, match="annotations have the fields path, class, not the published seven"):
        Cars196(dataset_root=str(tmp_path))
    savemat(folder / "cars_annos.mat", {"x": 1})
    with pytest.raises(UserError, match="has no variable 'annotations'"):
        Cars196(dataset_root=str(tmp_path))
    annotation_file(folder, [1, 2, 3, 5], CARS)
    with pytest.raises(UserError, match="names 4 classes; the images' go from 1 to 5"):
        Cars196(dataset_root=str(tmp_path))
