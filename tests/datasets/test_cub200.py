import numpy as np
import pytest
from PIL import Image

from powerbench.datasets.cub200 import CLASSES, CUB200, IMAGES, LAYOUTS, class_number, find_images, read_images
from powerbench.errors import UserError


def image_names(images=IMAGES):
    """As many images as asked for in 200 class folders, some more in the first ones."""
    for label in range(CLASSES):
        for number in range(images // CLASSES + (label < images % CLASSES)):
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
    assert np.bincount(dataset.index.labels[:, 0]).tolist() == [59] * 188 + [58] * 12
    assert dataset.image(0).size == (6, 4)
    with pytest.raises(UserError, match=r"001\.Bird_0/0001\.jpg cannot be read"):
        dataset.image(1)


def test_another_layout_gives_the_same_dataset(whole, tmp_path):
    (tmp_path / "cub200").mkdir()
    (tmp_path / "cub200/images").symlink_to(whole / LAYOUTS[0])
    found = CUB200(root=str(tmp_path), dataset_root="/no/where")
    assert found.checksum == CUB200(dataset_root=str(whole)).checksum


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_found(tmp_path, layout):
    touch(tmp_path / layout, ["001.A/1.jpg"])
    assert find_images(tmp_path) == tmp_path / layout


def test_labels_are_the_folders_numbers(tmp_path):
    touch(tmp_path, ["001.Black_footed_Albatross/a.jpg", "001.Black_footed_Albatross/._a.jpg"])
    touch(tmp_path, ["002.Laysan_Albatross/b.jpg", "._002.Laysan_Albatross/b.jpg"])
    labels, names, files = read_images(tmp_path, classes=2, images=2)
    assert (labels, [file.name for file in files]) == ([0, 1], ["a.jpg", "b.jpg"])
    assert names == ("001.Black_footed_Albatross", "002.Laysan_Albatross")
    assert class_number("010.Red_winged_Blackbird") == 9
    with pytest.raises(UserError, match="not named like"):
        class_number("sparrow")
    touch(tmp_path, ["010.Red_winged_Blackbird/c.jpg"])
    with pytest.raises(UserError, match="holds 3 images in 3 classes; CUB-200-2011 has 3 images in 3 classes"):
        read_images(tmp_path, classes=3, images=3)


def test_missing_data_name_what_to_place_where(tmp_path):
    root = tmp_path / "none"
    with pytest.raises(UserError) as caught:
        CUB200(dataset_root=str(root))
    text = str(caught.value)
    assert f"into {root}/cub2011/CUB_200_2011/images" in text
    assert all(layout in text for layout in LAYOUTS)
    assert "download: True" in text
    assert not root.exists()


def test_a_folder_called_images_of_something_else_is_not_taken_for_cub(tmp_path):
    touch(tmp_path / "images", ["owl/1.jpg"])
    with pytest.raises(UserError, match="CUB200 is missing"):
        CUB200(dataset_root=str(tmp_path))


def test_wrong_counts_are_said(tmp_path):
    touch(tmp_path / "CUB_200_2011/images", ["001.A/1.jpg", "002.B/2.jpg"])
    with pytest.raises(UserError, match="holds 2 images in 2 classes; CUB-200-2011 has 11788 images in 200 classes"):
        CUB200(dataset_root=str(tmp_path))


def test_the_older_edition_is_recognised(tmp_path):
    touch(tmp_path / "cub200/images", image_names(6033))
    with pytest.raises(UserError, match="CUB-200-2010, the older edition"):
        CUB200(dataset_root=str(tmp_path))
