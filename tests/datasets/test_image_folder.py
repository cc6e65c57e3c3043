import pytest
from PIL import Image

from powerbench.datasets.image_folder import ImageFolder
from powerbench.errors import UserError


def make(root, names):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3 + number, 2), number).save(root / name)
    return root


@pytest.fixture
def birds(tmp_path):
    return make(tmp_path / "birds", ["owl/2.png", "owl/1.jpg", "Heron/a.png", "tit/deep/b.png", "tit/._b.png"])


def test_classes_are_the_folders_in_order_of_their_names(birds):
    dataset = ImageFolder(str(birds))
    assert dataset.index.class_names == (("Heron", "owl", "tit"),)
    assert dataset.index.item_names == ("Heron/a.png", "owl/1.jpg", "owl/2.png", "tit/deep/b.png")
    assert dataset.index.labels.tolist() == [[0], [1], [1], [2]]
    assert [dataset.image(item).size[0] for item in range(4)] == [5, 4, 3, 6]
    assert {dataset.image(item).mode for item in range(4)} == {"RGB"}


def test_the_checksum_does_not_depend_on_where_the_folder_lies(birds, tmp_path):
    before = ImageFolder(str(birds)).checksum
    moved = birds.rename(tmp_path / "moved")
    assert ImageFolder(str(moved)).checksum == before
    make(moved, ["owl/3.png"])
    assert ImageFolder(str(moved)).checksum != before


def test_a_relative_root_is_sought_here_and_below_the_dataset_root(birds, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert len(ImageFolder("birds", dataset_root=str(tmp_path)).index) == 4
    make(elsewhere / "birds", ["x/1.png"])
    assert len(ImageFolder("birds", dataset_root=str(tmp_path)).index) == 1
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(ImageFolder("~/birds").index) == 4


def test_what_is_wrong_with_the_folder_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"no folder of images at {tmp_path}/no or at {tmp_path}/data/no\."):
        ImageFolder("no", dataset_root="data")
    with pytest.raises(UserError, match=r"no folder of images at /no/where\.$"):
        ImageFolder("/no/where")
    with pytest.raises(UserError, match="needs the folder of class folders"):
        ImageFolder()
    make(tmp_path, ["single.png", "flat/1.png"])
    with pytest.raises(UserError, match=r"single.png is a file"):
        ImageFolder("single.png")
    with pytest.raises(UserError, match=r"flat has no class folders: put the images of each class"):
        ImageFolder("flat")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="nothing has no class folders"):
        ImageFolder("nothing")


def test_class_folders_without_images_are_named(birds):
    for name in "abcdefg":
        (birds / name).mkdir()
    (birds / "a" / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match="class folders without images: a, b, c, d, e and 2 more"):
        ImageFolder(str(birds))


def test_a_broken_image_is_named_when_it_is_read(birds):
    (birds / "owl" / "1.jpg").write_bytes(b"broken")
    dataset = ImageFolder(str(birds))
    with pytest.raises(UserError, match=r"owl/1\.jpg cannot be read"):
        dataset.image(1)
