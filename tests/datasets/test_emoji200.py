import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from powerbench.datasets import emoji200
from powerbench.datasets.emoji200 import Emoji200
from powerbench.errors import PowerbenchError
from powerbench.files import sha256_of


@pytest.fixture(scope="module")
def dataset():
    return Emoji200()


def test_counts_and_names(dataset):
    labels = dataset.index.labels[:, 0]
    assert (len(dataset.index), dataset.index.labels.shape) == (1440, (1440, 1))
    assert len(dataset.index.class_names[0]) == 200
    assert np.unique(np.bincount(labels), return_counts=True)[0].tolist() == [7, 8]
    assert np.unique(np.bincount(labels), return_counts=True)[1].tolist() == [160, 40]
    assert list(dataset.index.class_names[0]) == sorted(dataset.index.class_names[0])
    assert "angry-face-with-horns" in dataset.index.class_names[0]
    for item in (0, 700, 1439):
        assert dataset.index.item_names[item].split("/")[0] == dataset.index.class_names[0][labels[item]]


def test_images_are_rgb_on_white(dataset):
    for item in range(0, 1440, 90):
        image = dataset.image(item)
        assert (image.mode, image.size) == ("RGB", (64, 64))
        corners = np.asarray(image)[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert np.median(corners) == 255


def test_the_checksum_is_that_of_the_archive(dataset):
    assert dataset.checksum == sha256_of(emoji200.ARCHIVE)


def test_the_authors_are_named_beside_the_archive():
    text = (emoji200.ARCHIVE.parent / "README.md").read_text()
    for word in ("noto", "fxemoji", "twemoji", "emojione", "fluent-emoji-flat", "CC-BY-4.0", "Apache-2.0", "MIT"):
        assert word in text


def test_images_can_be_read_from_threads_and_after_a_copy(dataset):
    items = list(range(0, 1440, 12))
    one_by_one = [dataset.image(item).tobytes() for item in items]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda item: dataset.image(item).tobytes(), items)) == one_by_one
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.image(77).tobytes() == dataset.image(77).tobytes()


def test_a_damaged_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(emoji200, "ARCHIVE", tmp_path / "emoji200.zip")
    with zipfile.ZipFile(emoji200.ARCHIVE, "w") as file:
        file.writestr("emoji/images/owl/noto.png", b"")
    with pytest.raises(PowerbenchError, match="1 classes and 1 images instead of 200 and 1440"):
        Emoji200()
