"""Images in class folders: which there are, what identifies them, and how they are decoded."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from powerbench.errors import UserError
from powerbench.files import sha256_of, write_atomic
from split_managers.contract import DatasetIndex

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
READERS = 16
"""Files that are read at a time for a checksum: on a network file system most of the time is waiting."""


def class_folders(root: Path) -> list[str]:
    """The names of the folders in ``root``, in byte order, hidden ones (``.``, ``._``) left out."""
    return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))


def images_below(folder: Path) -> list[Path]:
    """The image files below ``folder`` at any depth, sorted by path, hidden files and folders left out.

    Links are followed, to each folder once.
    """
    found = []
    seen = {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in sorted(folders) if not name.startswith(".") and _is_new(place, name, seen)]
        found += [Path(place, name) for name in files if is_image_name(name)]
    return sorted(found)


def _is_new(place: str, name: str, seen: set[str]) -> bool:
    """Whether a folder is neither ``seen``, which it then is, nor a link to one that it lies in: links may go round."""
    real = os.path.realpath(Path(place, name))
    if real in seen or Path(os.path.realpath(place)).is_relative_to(real):
        return False
    seen.add(real)
    return True


def is_image_name(name: str) -> bool:
    """Whether a file's name says that it is an image, and not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def listed_files(folder: Path, names: Sequence[str], source: str) -> list[Path]:
    """The files of these names in ``folder``. UserError if some are not there; ``source`` says what lists them."""
    files = [folder / name for name in names]
    try:
        missing = [file for file in files if not file.is_file()]
    except OSError as error:  # a path that is too long, or may not be read
        raise UserError(f"{source}: {error.strerror}: {str(error.filename)[:200]}") from error
    if missing:
        raise UserError(
            f"{len(missing)} of the {len(files)} images in {source} are missing, first {missing[0]}. "
            "The dataset is incomplete: unpack the archive again."
        )
    return files


def single_level_index(
    class_names: Sequence[str],
    labels: Sequence[int],
    item_names: Sequence[str],
    roles: Sequence[str | None] | None = None,
) -> DatasetIndex:
    """The index of a dataset with one level of labels."""
    return DatasetIndex(
        labels=np.array(labels, dtype=np.int64).reshape(-1, 1),
        class_names=(tuple(class_names),),
        item_names=tuple(item_names),
        roles=None if roles is None else tuple(roles),
    )


def files_checksum(index: DatasetIndex, files: Sequence[Path]) -> str:
    """SHA-256 over the items' names, labels and contents, wherever the files lie.

    Every file is read, once while it stays as it is (:func:`checksums_kept_in`): one picture in place of another of
    the same name and size would otherwise pass for the same data.
    """
    return _checksum(index.checksum(), tuple(_state(file) for file in files), _FOLDER.get())


@contextmanager
def checksums_kept_in(folder: Path) -> Iterator[None]:
    """While this lasts, checksums of files are kept in ``folder``, and read from there while size and times agree.

    Nothing is kept as long as the folder that holds the cache is not there: a command may yet be refused.
    """
    before = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(before)


_State = tuple[str, int, int, int]
_FOLDER: ContextVar[Path | None] = ContextVar("folder of kept checksums", default=None)
_LENGTH = hashlib.sha256().digest_size * 2
_SETTLED = 2 * 10**9
"""Nanoseconds after which another change of a file changes its times, on any file system."""


def _state(file: Path) -> _State:
    """The file and what changes with its content."""
    status = file.stat()
    return str(file), status.st_size, status.st_mtime_ns, status.st_ctime_ns


@lru_cache(maxsize=4)
def _checksum(names_and_labels: str, states: tuple[_State, ...], folder: Path | None) -> str:
    if folder is None:
        return _computed(names_and_labels, states)
    kept = folder / hashlib.sha256(repr((names_and_labels, states)).encode()).hexdigest()
    if kept.is_file() and len(known := kept.read_text()) == _LENGTH:
        return known
    checksum = _computed(names_and_labels, states)
    newest = max((changed for *_, changed in states), default=0)
    if time.time_ns() - newest > _SETTLED and folder.parent.parent.is_dir():
        write_atomic(kept, checksum)
    return checksum


def _computed(names_and_labels: str, states: Sequence[_State]) -> str:
    digest = hashlib.sha256(names_and_labels.encode())
    with ThreadPoolExecutor(READERS) as readers:
        for content in readers.map(sha256_of, (Path(state[0]) for state in states)):
            digest.update(bytes.fromhex(content))
    return digest.hexdigest()


def decode_image(source: Path | bytes, name: str) -> Image.Image:
    """An image file as RGB, transparent parts on white. Raises UserError, naming it, if it cannot be decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return as_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"the image {name} cannot be read: {error}") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """An image in RGB, transparent parts on white."""
    from PIL import Image

    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
