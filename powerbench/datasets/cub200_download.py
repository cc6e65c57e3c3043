"""Getting CUB-200-2011: from an archive that lies there already, or from where it is published."""

from __future__ import annotations

import hashlib
import logging
import tarfile
import tempfile
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from powerbench.errors import UserError
from powerbench.files import file_lock, write_atomic

ARCHIVE_NAME = "CUB_200_2011.tgz"
ARCHIVE_MD5 = "97eceeb196236b17998738112f37df78"
SOURCES = (
    "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    "http://www.vision.caltech.edu/visipedia-data/CUB-200-2011/CUB_200_2011.tgz",
)
TIMEOUT_SECONDS = 10
UNPACKED = "CUB_200_2011"
TARGET = Path("cub2011", UNPACKED)

_log = logging.getLogger(__name__)


def obtain(place: Path) -> None:
    """Unpack the archive to ``place/cub2011/CUB_200_2011``, downloading it first if it is not in ``place``.

    Nothing is created unless a source answers. Several processes may ask at once: one does the work.
    Raises UserError that lists what was tried and why it failed, and what to place where.
    """
    if not (place / ARCHIVE_NAME).is_file():
        _download(place)
    with file_lock(place / f".{ARCHIVE_NAME}.lock"):
        if not (place / TARGET).exists():
            _unpack(place / ARCHIVE_NAME, place / TARGET)


def _download(place: Path) -> None:
    failures = []
    for source in SOURCES:
        _log.info("downloading %s", source)
        try:
            with urllib.request.urlopen(source, timeout=TIMEOUT_SECONDS) as response:
                place.mkdir(parents=True, exist_ok=True)
                with file_lock(place / f".{ARCHIVE_NAME}.lock"):
                    if not (place / ARCHIVE_NAME).is_file():
                        _save(response, place / ARCHIVE_NAME)
            return
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"{source} ({_reason(error)})")
    raise UserError(
        f"CUB200 could not be downloaded. Tried: {'; '.join(failures)}. Place the archive at {place / ARCHIVE_NAME} "
        f"and run the same command again, or unpack it so that {place / TARGET / 'images'} exists."
    )


def _save(response: BinaryIO, archive: Path) -> None:
    """Write a response to ``archive``; ValueError, and no file, if it is not the published archive."""

    def copy(file: BinaryIO) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        while block := response.read(1 << 20):
            file.write(block)
            digest.update(block)
        _require_md5(digest.hexdigest())

    write_atomic(archive, copy)


def _unpack(archive: Path, target: Path) -> None:
    try:
        with open(archive, "rb") as file:
            _require_md5(hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest())
        _log.info("unpacking %s", archive)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking.") as folder:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            Path(folder, UNPACKED).replace(target)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise UserError(f"{archive} could not be unpacked: {error}.") from error


def _require_md5(found: str) -> None:
    if found != ARCHIVE_MD5:
        raise ValueError(f"not the published archive (its MD5 is {found}, not {ARCHIVE_MD5})")


def _reason(error: Exception) -> str:
    return str(error.reason) if isinstance(error, urllib.error.URLError) else str(error) or type(error).__name__
