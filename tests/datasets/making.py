"""Miniature copies of published datasets, in their own file formats."""

import io
from dataclasses import replace

from PIL import Image


def picture(number=0, size=(12, 9), kind="JPEG"):
    """The bytes of a small image; other numbers give other images."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (37 * number % 256, 91 * number % 256, 151 * number % 256)).save(buffer, kind)
    return buffer.getvalue()


def put(folder, names):
    """Write an image under each name."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(number))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def let_there_be(monkeypatch, dataset, counts):
    """Let a miniature have all that was published of a dataset."""
    monkeypatch.setattr(dataset, "publication", replace(dataset.publication, counts=counts))
