"""Decoded and resized images in a file, so that each is made once: the cache of what a recipe begins with.

A file is filled as images are asked for, by any number of processes at a time. It is never trusted blindly: each
image has a checksum, and one that is missing, torn or damaged is made anew. Whatever keeps an image from being kept
(no space, no permission) costs time, never a result.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np

from powerbench.config.free import without_free
from powerbench.config.schema import ExperimentConfig, thaw
from powerbench.config.user_files import wherever_they_lie
from powerbench.data.recipes import Recipe
from powerbench.datasets.contract import Dataset
from powerbench.environment import environment_of_process
from powerbench.files import file_lock
from powerbench.jobs import Places

FORMAT = 1
"""Rises when the files, or the way images are decoded, change."""

FOLDER, PIXELS, INDEX = "decoded_images", ".pixels", ".index"

RESERVED = 2 * 10**9
"""Bytes that stay free on the disk: checkpoints and results may lie there too."""

_PLACE = struct.Struct("<QIII")
"""Of one image: the offset of its pixels, height, width, their CRC-32."""
_CHECK = struct.Struct("<I")
"""The CRC-32 of the image's number and of the above."""
_ENTRY = _PLACE.size + _CHECK.size

_TOLD = mmap(-1, 1)
"""Memory that forked processes share."""

_log = logging.getLogger(__name__)


class DecodedImages:
    """Images (height x width x 3, bytes) by item number; may be copied to other processes, forked or spawned.

    path: of the files, without suffix: the pixels in the order in which they came, and an index with an entry of
    fixed size for each of ``count`` items. key: what the images are of, for people to read. capacity: bytes of pixels
    that all files of the folder may hold together; once they do, further images are made each time. files: the items'
    sources; one that changes after this object was made is not kept.
    """

    def __init__(
        self, path: Path, key: Mapping[str, Any], count: int, capacity: int, files: Sequence[Path] = ()
    ) -> None:
        self._path, self._key, self._capacity, self._sources = path, key, capacity, files
        self._found_whole = np.full(count, -1, dtype=np.int64)
        self._made_at = time.time_ns()
        self._opened: tuple[FileIO, FileIO] | None = None
        self._usable = self._takes_more = True

    def image(self, item: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The image of an item: the kept one, else what ``make`` gives, which is then kept if it can be.

        The array belongs to the caller. Raises what ``make`` raises, and nothing else.
        """
        self._open()
        found = self._kept(item) if self._usable else None
        if found is None:
            found = make()
            if self._usable and self._takes_more and not self._has_changed(item):
                self._keep(item, found)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def _open(self) -> None:
        """Create the files, unless another process did."""
        if self._opened is not None or not self._usable:
            return
        record = self._path.with_suffix(".json")
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            if not record.exists():
                record.write_text(json.dumps(self._key, indent=1), encoding="utf-8")
            self._opened = self._opened_with(PIXELS), self._opened_with(INDEX)
        except OSError as error:
            self._usable = False
            _tell(f"no decoded images can be kept in {self._path.parent} ({error}): they are made each time")

    def _opened_with(self, suffix: str) -> FileIO:
        return FileIO(os.open(self._path.with_suffix(suffix), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+")

    def _place(self, item: int) -> tuple[int, int, int, int] | None:
        """Offset, height, width and checksum of a kept image."""
        assert self._opened is not None
        entry = os.pread(self._opened[1].fileno(), _ENTRY, item * _ENTRY)
        return _PLACE.unpack_from(entry) if entry == _entry(item, entry[: _PLACE.size]) else None

    def _kept(self, item: int) -> np.ndarray | None:
        """The kept image if there is one and it is whole. What was found whole once is not looked at again."""
        assert self._opened is not None
        try:
            if (place := self._place(item)) is None:
                return None
            offset, height, width, checksum = place
            image = np.empty((height, width, 3), dtype=np.uint8)
            read = os.preadv(self._opened[0].fileno(), [image.data], offset)
        except OSError:
            return None
        if read < image.nbytes or (self._found_whole[item] != offset and zlib.crc32(image.data) != checksum):
            return None
        self._found_whole[item] = offset
        return image

    def _keep(self, item: int, image: np.ndarray) -> None:
        """Append an image. Its entry is written last: an image whose writer died in between does not exist."""
        assert self._opened is not None
        pixels, index = (file.fileno() for file in self._opened)
        try:
            with file_lock(self._path.with_suffix(".lock")):
                if self._kept(item) is not None:
                    return  # another process was faster
                if self._place(item) is not None:
                    _log.warning("image %d in %s is damaged: it was made anew", item, self._path.with_suffix(PIXELS))
                end = os.fstat(pixels).st_size
                if self._bytes_of_others() + end + image.nbytes > self._capacity:
                    self._take_no_more(f"is full (cache_gigabytes: {self._capacity / 1e9:g})")
                    return
                if shutil.disk_usage(self._path.parent).free < RESERVED + image.nbytes:
                    self._take_no_more(f"lies on a disk with less than {RESERVED / 1e9:g} GB left")
                    return
                try:
                    _write(pixels, image.reshape(-1).data, end)
                    place = _PLACE.pack(end, *image.shape[:2], zlib.crc32(image.data))
                    _write(index, memoryview(_entry(item, place)), item * _ENTRY)
                except OSError:
                    os.ftruncate(pixels, end)
                    raise
        except OSError as error:
            self._take_no_more(f"takes no more images ({error.strerror})")

    def _has_changed(self, item: int) -> bool:
        """Whether an item's file is no longer the one that the dataset's checksum was made of."""
        try:
            return bool(self._sources) and Path(self._sources[item]).stat().st_ctime_ns > self._made_at
        except OSError:
            return True

    def _bytes_of_others(self) -> int:
        mine = self._path.with_suffix(PIXELS)
        return sum(path.stat().st_size for path in self._path.parent.glob(f"*{PIXELS}") if path != mine)

    def _take_no_more(self, why: str) -> None:
        self._takes_more = False
        _tell(f"{self._path.parent} {why}: images that are not there yet are decoded each time")


def decoded_images(
    config: ExperimentConfig, dataset: Dataset, recipes: Mapping[str, Recipe], places: Places
) -> dict[str, DecodedImages]:
    """For each part the place of its images; parts that begin alike share it. None are kept with ``cache: off``.

    The key is everything that an image depends on: the dataset's content, class and arguments, the head of the
    recipe, and the versions of what decodes and resizes. Nothing is created before the first image is asked for.
    """
    if not config.cache:
        return {}
    folder, installed = Path(places.cache_dir) / FOLDER, environment_of_process()
    common = {
        "format": FORMAT,
        "dataset": pixels_key(config, dataset),
        "versions": {name: installed[name] for name in ("pillow", "torchvision")},
        "machine": platform.machine(),
    }
    found: dict[str, DecodedImages] = {}
    for recipe in recipes.values():
        key = {**common, "transforms": recipe.head_text}
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
        found.setdefault(
            recipe.head_text,
            DecodedImages(
                folder / name,
                key,
                len(dataset.index),
                int(config.cache_gigabytes * 1e9),
                getattr(dataset, "files", ()),
            ),
        )
    return {part: found[recipe.head_text] for part, recipe in recipes.items()}


def pixels_key(config: ExperimentConfig, dataset: Dataset) -> dict[str, Any]:
    """What a dataset's images depend on: its content, its class and, since that may draw them as they say, its
    arguments but for those that only say where the files are."""
    configured = {"dataset": {config.dataset.name: thaw(config.dataset.args)}}
    return {"checksum": dataset.checksum, **wherever_they_lie(without_free(configured))}


def _tell(trouble: str) -> None:
    """Warn, unless this process or one forked from it did."""
    if not _TOLD[0]:
        _TOLD[0] = 1
        _log.warning(trouble)


def _entry(item: int, place: bytes) -> bytes:
    return place + _CHECK.pack(zlib.crc32(place, item))


def _write(descriptor: int, content: memoryview, offset: int) -> None:
    """Write all of ``content``; a full disk may take a part of it first."""
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written
