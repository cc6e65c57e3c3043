import numpy as np
import pytest
from scipy.io import savemat

from powerbench.datasets.cars196 import Cars196, read_annotation_file
from powerbench.datasets.locating import Counts
from powerbench.errors import UserError
from tests.datasets.making import let_there_be, put
from tests.datasets.miniatures import (
    BOX,
    CARS,
    CARS_COUNTS,
    CLASSES,
    annotation_file,
    annotations,
    class_folders,
    official_folders,
)


@pytest.fixture
def small(monkeypatch):
    let_there_be(monkeypatch, Cars196, CARS_COUNTS)


@pytest.mark.parametrize("make", [annotation_file, official_folders, class_folders])
@pytest.mark.parametrize("name", [*Cars196.publication.layouts, "."])
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
    index = read_annotation_file(tmp_path)
    assert index.labels[:, 0].tolist() == [0, 0, 1, 97, 98, 195]
    assert np.flatnonzero(index.labels[:, 0] < 98).tolist() == [0, 1, 2, 3]
    assert index.item_names[0] == "car_ims/000001.jpg"
    assert (len(index.class_names[0]), index.class_names[0][195]) == (196, "196")


def test_all_images_and_both_halves_are_counted(tmp_path, monkeypatch):
    annotation_file(tmp_path / "cars196")
    with pytest.raises(UserError, match="holds 6 images in 4 classes; Cars196 has 16185 images in 196 classes"):
        Cars196(dataset_root=str(tmp_path))
    let_there_be(monkeypatch, Cars196, Counts(4, 6, {"first half": (2, 4), "second half": (2, 2)}))
    with pytest.raises(UserError, match="holds 3 images in 2 classes; the part 'first half' of Cars196 has 4 images"):
        Cars196(dataset_root=str(tmp_path))


def test_a_damaged_annotation_file_is_named(tmp_path, small):
    annotation_file(tmp_path / "cars196")
    content = (tmp_path / "cars196/cars_annos.mat").read_bytes()
    for damaged in (b"no mat file", content[: len(content) // 2], b""):
        (tmp_path / "cars196/cars_annos.mat").write_bytes(damaged)
        with pytest.raises(UserError, match=r"cars_annos.mat cannot be read as a .mat file"):
            Cars196(dataset_root=str(tmp_path))


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
    with pytest.raises(UserError, match="is of 4 classes; the images' go from 1 to 5"):
        Cars196(dataset_root=str(tmp_path))


@pytest.mark.parametrize(
    ("place", "cell", "message"),
    [
        (0, np.array([], dtype="<U1"), r"record 1: a text is expected, not \[\]"),
        (0, 7, r"record 1: a text is expected, not \[7\]"),
        (5, np.zeros((0, 0)), r"record 1: a whole number is expected, not \[\]"),
        (5, "three", r"record 1: a whole number is expected, not \['three'\]"),
        (5, np.array([[np.nan]]), "record 1: a whole number is expected, not nan"),
        (5, 999999999999, "is of 196 classes; the images' go from 2 to 999999999999"),
        (0, "car_ims/2.jpg", "lists car_ims/2.jpg twice"),
    ],
)
def test_wrong_cells_of_annotations_are_named(tmp_path, place, cell, message):
    rows = [["car_ims/1.jpg", 1, 2, 3, 4, 1, 0], ["car_ims/2.jpg", 1, 2, 3, 4, 2, 0]]
    rows[0][place] = cell
    path = tmp_path / "cars196/cars_annos.mat"
    annotations(path, ("relative_im_path", *BOX, "class", "test"), rows)
    put(tmp_path / "cars196", ["car_ims/1.jpg"])
    with pytest.raises(UserError, match=message) as caught:
        Cars196(dataset_root=str(tmp_path))
    assert str(path) in str(caught.value)
