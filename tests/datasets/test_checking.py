import io
import os

import numpy as np
import pytest
from PIL import Image

from powerbench.datasets.checking import check_images, look_at, refuse_unreadable
from powerbench.datasets.image_folder import ImageFolder
from powerbench.datasets.leaving_out import leaving_out
from powerbench.errors import UserError
from tests.data.making import Noise
from tests.datasets.making import picture, put


def noisy(kind, **options):
    pixels = np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_whole_files_are_readable_and_truncated_ones_are_not(tmp_path, kind):
    content = noisy(kind)
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert look_at(path)[0] is None
    path.write_bytes(content[: len(content) // 2])
    problem = look_at(path)[0]
    assert problem.startswith(f"{path} (")
    for other in (b"", b"<html>not found</html>", content[:3]):
        path.write_bytes(other)
        assert look_at(path)[0] is not None


def test_a_truncated_gif_that_ends_like_a_whole_one_is_not_readable(tmp_path):
    """The byte that ends a GIF is common within one."""
    content, path = noisy("GIF"), tmp_path / "a.gif"
    cut = content.index(b"\x3b", len(content) // 2)
    for behind in (1, 20):
        path.write_bytes(content[: cut + behind])
        assert look_at(path)[0] is not None


def test_a_jpeg_with_something_behind_its_end_is_readable(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(picture() + b"\0" * 500)
    assert look_at(path) == (None, "RGB")
    Image.new("L", (9, 9)).save(path)
    assert look_at(path) == (None, "L")


@pytest.fixture
def broken(tmp_path):
    put(tmp_path / "data", ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"])
    (tmp_path / "data/a/2.jpg").write_bytes(picture()[:-40])
    (tmp_path / "data/b/1.jpg").write_text("moved")
    (tmp_path / "cache").mkdir()
    return tmp_path


def test_unreadable_images_are_named(broken):
    dataset = ImageFolder(str(broken / "data"))
    cache = str(broken / "cache")
    assert list(check_images(dataset, cache).unreadable) == [1, 2]
    with pytest.raises(UserError) as caught:
        refuse_unreadable(dataset, cache)
    text = str(caught.value)
    assert "2 of 4 images cannot be read" in text
    assert f"{broken}/data/b/1.jpg (it is no image)" in text
    assert "--skip_unreadable True" in text


def test_what_was_found_is_kept_until_a_file_changes(broken, monkeypatch):
    dataset = ImageFolder(str(broken / "data"))
    cache = str(broken / "cache/inside")
    first = check_images(dataset, cache)
    assert len(list((broken / "cache/inside/checked_images").iterdir())) == 1
    monkeypatch.setattr("powerbench.datasets.checking.look_at", lambda path: 1 / 0)
    assert check_images(dataset, cache) == first
    monkeypatch.undo()
    (broken / "data/b/1.jpg").write_bytes(picture())
    os.utime(broken / "data/b/1.jpg", ns=(1, 1))
    assert list(check_images(ImageFolder(str(broken / "data")), cache).unreadable) == [1]
    nowhere = broken / "none/cache"
    check_images(dataset, str(nowhere))
    assert not nowhere.parent.exists()


def test_a_dataset_without_files_is_decoded_only_where_it_is_asked_for(tmp_path):
    dataset = Noise(6)
    refuse_unreadable(dataset, str(tmp_path))
    assert dataset.asked == 0
    assert check_images(dataset, str(tmp_path)).modes == {"RGB": 6}
    assert dataset.asked == 6


def test_what_is_left_is_a_dataset_of_its_own(broken):
    dataset = ImageFolder(str(broken / "data"))
    rest = leaving_out(dataset, [2, 1])
    assert rest.index.item_names == ("a/1.jpg", "b/2.jpg")
    assert rest.index.labels[:, 0].tolist() == [0, 1]
    assert rest.skipped == ("a/2.jpg", "b/1.jpg")
    assert rest.image(1).getpixel((0, 0)) == dataset.image(3).getpixel((0, 0))
    assert len({dataset.checksum, rest.checksum, leaving_out(dataset, [1]).checksum}) == 3
    assert leaving_out(dataset, []).checksum == dataset.checksum
    with pytest.raises(UserError, match="no image of the dataset can be read"):
        leaving_out(dataset, range(4))
