import io

import numpy as np
import pytest
from PIL import Image

from powerbench.datasets import image_files
from powerbench.datasets.image_files import (
    checksums_kept_in,
    class_folders,
    decode_image,
    files_checksum,
    images_below,
    single_level_index,
)
from powerbench.errors import UserError


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "PNG", **options})
    return buffer.getvalue()


def pixels(image):
    return np.asarray(image)[0, :2].tolist()


def test_transparent_parts_become_white():
    rgba = Image.new("RGBA", (4, 2), (255, 0, 0, 255))
    rgba.putpixel((0, 0), (10, 20, 30, 0))
    assert pixels(decode_image(encoded(rgba), "x")) == [[255, 255, 255], [255, 0, 0]]
    palette = Image.new("P", (4, 2), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((0, 0), 0)
    assert pixels(decode_image(encoded(palette, transparency=0), "x")) == [[255, 255, 255], [255, 0, 0]]
    assert pixels(decode_image(encoded(palette), "x")) == [[0, 0, 0], [255, 0, 0]]
    gray = Image.new("LA", (4, 2), (100, 255))
    gray.putpixel((0, 0), (100, 0))
    assert pixels(decode_image(encoded(gray), "x")) == [[255, 255, 255], [100, 100, 100]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK"])
def test_every_kind_of_image_becomes_rgb(mode):
    image = decode_image(encoded(Image.new(mode, (5, 3)), format="TIFF"), "x")
    assert (image.mode, image.size) == ("RGB", (5, 3))


def test_an_image_that_cannot_be_decoded_is_named(tmp_path):
    whole = encoded(Image.effect_noise((64, 64), 50))
    for name, content in {"text.png": b"no image", "cut.png": whole[:300], "empty.jpg": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name} cannot be read"):
            decode_image(tmp_path / name, str(tmp_path / name))
    with pytest.raises(UserError, match=r"gone.png cannot be read"):
        decode_image(tmp_path / "gone.png", "gone.png")


def test_hidden_names_and_other_files_are_left_out(tmp_path):
    for name in ["b/2.JPG", "b/sub/1.png", "b/._2.jpg", "b/notes.txt", "b/.cache/3.png", "._c/1.png", ".git/1.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "A").mkdir()
    (tmp_path / "loose.png").write_bytes(b"")
    assert class_folders(tmp_path) == ["A", "b"]
    assert [f.relative_to(tmp_path).as_posix() for f in images_below(tmp_path / "b")] == ["b/2.JPG", "b/sub/1.png"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    for name in ("data/a/1.png", "data/b/2.png", "elsewhere/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    first = tmp_path / "data/a"
    (first / "loop").symlink_to("..")
    (first / "self").symlink_to(".")
    (first / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(first)
    assert [f.relative_to(tmp_path).as_posix() for f in images_below(first)] == ["data/a/1.png", "data/a/more/3.png"]


def test_the_checksum_changes_with_names_labels_and_content(tmp_path):
    files = [tmp_path / name for name in ("a.png", "b.png")]
    for file in files:
        file.write_bytes(b"12")
    first = files_checksum(single_level_index(["x", "y"], [0, 1], ["a", "b"]), files)
    assert first == files_checksum(single_level_index(["x", "y"], [0, 1], ["a", "b"]), files)
    changed = {
        files_checksum(single_level_index(["x", "y"], [1, 1], ["a", "b"]), files),
        files_checksum(single_level_index(["x", "z"], [0, 1], ["a", "b"]), files),
        files_checksum(single_level_index(["x", "y"], [0, 1], ["a", "c"]), files),
    }
    files[1].write_bytes(b"123")
    changed.add(files_checksum(single_level_index(["x", "y"], [0, 1], ["a", "b"]), files))
    files[1].write_bytes(b"13")  # of the same size
    changed.add(files_checksum(single_level_index(["x", "y"], [0, 1], ["a", "b"]), files))
    assert len(changed) == 5
    assert first not in changed


def test_files_that_stay_as_they_are_are_read_once(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(b"12")
    first = files_checksum(single_level_index(["x"], [0], ["a"]), [file])
    monkeypatch.setattr("powerbench.datasets.image_files.sha256_of", lambda path: pytest.fail(f"read {path} again"))
    assert files_checksum(single_level_index(["x"], [0], ["a"]), [file]) == first


def test_a_checksum_is_kept_for_files_that_have_settled_and_stay_as_they_are(tmp_path, monkeypatch):
    file, kept = tmp_path / "a.png", tmp_path / "experiments" / "cache" / "checksums"
    file.write_bytes(b"one")
    index = single_level_index(["a"], [0], ["a"])
    with checksums_kept_in(kept):
        first = files_checksum(index, [file])
    assert not kept.exists()  # just written, the file could change without a change of its times
    monkeypatch.setattr(image_files, "_SETTLED", 0)
    for folder in (tmp_path, tmp_path / "experiments"):
        assert not (tmp_path / "experiments").exists()  # nothing is kept before there is anything to keep it for
        folder.mkdir(exist_ok=True)
        image_files._checksum.cache_clear()
        with checksums_kept_in(kept):
            assert files_checksum(index, [file]) == first
    (only,) = kept.iterdir()
    for content, found in (("f" * 64, "f" * 64), ("torn", first)):
        only.write_text(content)
        image_files._checksum.cache_clear()
        with checksums_kept_in(kept):
            assert files_checksum(index, [file]) == found
    file.write_bytes(b"two")
    with checksums_kept_in(kept):
        assert files_checksum(index, [file]) != first
