import numpy as np
import pytest
from PIL import Image

from powerbench.datasets.cub200 import CUB200, class_number, read_class_folders
from powerbench.datasets.locating import Counts
from powerbench.errors import UserError
from tests.datasets.making import let_there_be, put

LAYOUTS = CUB200.publication.layouts
HALVES = (5864, 5924)
MINIATURE = (
    "001.Black_footed_Albatross/a.jpg",
    "001.Black_footed_Albatross/._a.jpg",
    "002.Laysan_Albatross/b.jpg",
    "010.Red_winged_Blackbird/c.jpg",
)


def image_names(halves=HALVES):
    """200 class folders with so many images in each half of them, some more in the first ones of each."""
    for label in range(200):
        images, place = halves[label // 100], label % 100
        for number in range(images // 100 + (place < images % 100)):
            yield f"{label + 1:03d}.Bird_{label}/{number:04d}.jpg"


def touch(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All class folders and files in the published layout; only the first file is an image."""
    place = tmp_path_factory.mktemp("datasets")
    images = place / LAYOUTS[0]
    touch(images, [*image_names(), "001.Bird_0/._0000.jpg"])
    Image.new("RGB", (6, 4), "red").save(images / "001.Bird_0/0000.jpg")
    return place


def test_the_published_layout_is_read(whole):
    dataset = CUB200(dataset_root=str(whole))
    assert (len(dataset.index), len(dataset.index.class_names[0])) == (11788, 200)
    assert dataset.index.class_names[0][1] == "002.Bird_1"
    assert dataset.index.item_names[0] == "001.Bird_0/0000.jpg"
    assert np.bincount(dataset.index.labels[:, 0] // 100).tolist() == [5864, 5924]
    assert dataset.image(0).size == (6, 4)
    with pytest.raises(UserError, match=r"001\.Bird_0/0001\.jpg cannot be read"):
        dataset.image(1)


def test_another_layout_gives_the_same_dataset(whole, tmp_path):
    (tmp_path / "cub200").mkdir()
    (tmp_path / "cub200/images").symlink_to(whole / LAYOUTS[0])
    found = CUB200(root=str(tmp_path), dataset_root="/no/where")
    assert found.checksum == CUB200(dataset_root=str(whole)).checksum


def test_an_image_in_the_wrong_half_or_class_is_noticed(whole):
    images = whole / LAYOUTS[0]
    (images / "001.Bird_0/0001.jpg").rename(images / "200.Bird_199/more.jpg")
    with pytest.raises(UserError, match="5863 images in 100 classes; the part 'first half' of CUB200 has 5864 images"):
        CUB200(dataset_root=str(whole))
    (images / "200.Bird_199/more.jpg").rename(images / "001.Bird_0/0001.jpg")
    (images / "150.Bird_149").rename(images / "201.Bird_149")
    with pytest.raises(UserError, match="11788 images in 199 classes; CUB200 has 11788 images in 200 classes"):
        CUB200(dataset_root=str(whole))
    (images / "201.Bird_149").rename(images / "150.Bird_149")


@pytest.mark.parametrize("layout", [*LAYOUTS, "."])
def test_every_layout_is_read(tmp_path, monkeypatch, layout):
    let_there_be(monkeypatch, CUB200, Counts(10, 3, {}))
    put(tmp_path / layout, MINIATURE)
    with pytest.raises(UserError, match="holds 3 images in 3 classes; CUB200 has 3 images in 10 classes"):
        CUB200(dataset_root=str(tmp_path))
    let_there_be(monkeypatch, CUB200, Counts(10, 10, {}))
    put(tmp_path / layout, [f"{number:03d}.Bird/d.jpg" for number in range(3, 10)])
    dataset = CUB200(dataset_root=str(tmp_path))
    assert dataset.layout == CUB200.find(tmp_path) == f"class folders in {tmp_path / layout}"
    assert dataset.index.item_names[:2] == ("001.Black_footed_Albatross/a.jpg", "002.Laysan_Albatross/b.jpg")
    assert dataset.index.class_names[0][9] == "010.Red_winged_Blackbird"
    assert dataset.index.labels[:, 0].tolist() == list(range(10))
    assert [dataset.image(item).mode for item in range(10)] == ["RGB"] * 10


def test_labels_are_the_folders_numbers(tmp_path):
    put(tmp_path, [*MINIATURE, "._002.Laysan_Albatross/b.jpg"])
    index = read_class_folders(tmp_path)
    assert index.labels[:, 0].tolist() == [0, 1, 9]
    assert [index.class_names[0][label] for label in (0, 1, 8, 9)] == [
        "001.Black_footed_Albatross",
        "002.Laysan_Albatross",
        "9",
        "010.Red_winged_Blackbird",
    ]
    assert [name.rpartition("/")[2] for name in index.item_names] == ["a.jpg", "b.jpg", "c.jpg"]
    assert class_number("010.Red_winged_Blackbird") == 9
    for name in ("sparrow", "000.Nothing", "99999999999.Foo", "1.Foo", "٠٠١.Foo"):
        with pytest.raises(UserError, match="not named like"):
            class_number(name)


def test_missing_data_name_what_to_place_where(tmp_path):
    root = tmp_path / "none"
    with pytest.raises(UserError) as caught:
        CUB200(dataset_root=str(root))
    text = str(caught.value)
    assert f"into {root}/cub2011/CUB_200_2011/images" in text
    assert f"also sought at {root} and below it: {', '.join(LAYOUTS[1:])}" in text
    assert "download: True" in text
    assert not root.exists()


def test_a_folder_called_images_of_something_else_is_not_taken_for_cub(tmp_path):
    touch(tmp_path / "images", ["owl/1.jpg"])
    with pytest.raises(UserError, match="CUB200 is missing"):
        CUB200(dataset_root=str(tmp_path))


@pytest.mark.parametrize("names", [["2024.backup/1.jpg", "reports/1.jpg"], ["001.old/1.jpg", "a/1.jpg", "b/1.jpg"]])
@pytest.mark.parametrize("place", [".", "images"])
def test_folders_of_which_few_look_like_classes_are_not_taken_for_cub(tmp_path, names, place):
    touch(tmp_path / place, names)
    with pytest.raises(UserError, match=r"CUB200 is missing: put .* into .*/cub2011/CUB_200_2011/images"):
        CUB200(dataset_root=str(tmp_path))
    assert CUB200.find(tmp_path) is None


def test_a_class_number_as_large_as_memory_is_refused(tmp_path):
    touch(tmp_path / "images", ["001.A/1.jpg", "002.B/1.jpg", "99999999999.Foo/1.jpg"])
    with pytest.raises(UserError, match=r"'99999999999\.Foo' is not named like CUB200's classes"):
        CUB200(dataset_root=str(tmp_path))


def test_two_folders_of_one_class_are_both_named(tmp_path):
    touch(tmp_path / "images", ["001.Foo/1.jpg", "001.Bar/1.jpg", "002.B/1.jpg"])
    with pytest.raises(UserError, match=r"images has two folders of class 001: 001\.Bar and 001\.Foo"):
        CUB200(dataset_root=str(tmp_path))


def test_wrong_counts_are_said(tmp_path):
    touch(tmp_path / "CUB_200_2011/images", ["001.A/1.jpg", "002.B/2.jpg"])
    with pytest.raises(UserError, match="holds 2 images in 2 classes; CUB200 has 11788 images in 200 classes"):
        CUB200(dataset_root=str(tmp_path))


def test_the_older_edition_is_recognised(tmp_path):
    touch(tmp_path / "cub200/images", image_names((3000, 3033)))
    with pytest.raises(UserError, match="CUB-200-2010, the older edition"):
        CUB200(dataset_root=str(tmp_path))
