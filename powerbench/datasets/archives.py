"""Getting a dataset's published archives: from files that lie there already, or from an ordered list of sources."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from powerbench.errors import UserError
from powerbench.files import file_lock, sha256_of, write_atomic

TIMEOUT_SECONDS = 10
ARCHIVE_SUFFIXES = (".tgz", ".tar.gz", ".tar", ".zip")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """A published file: its name, its digest if that is known, and the folder below the root it is unpacked into.

    A file that is no archive by its name (an annotation file) is kept as it is.
    """

    name: str
    into: str = ""
    md5: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Source:
    """Addresses of files that together make the dataset. ``names``: what to call them, where the address does not."""

    urls: tuple[str, ...]
    names: tuple[str, ...] = ()
    sha256: str | None = None

    def files(self) -> list[tuple[str, str]]:
        """(address, file name) of each file."""
        names = self.names or tuple(unquote(PurePosixPath(urlsplit(url).path).name) for url in self.urls)
        return list(zip(self.urls, names, strict=True))


def obtain(
    dataset: str, place: Path, archives: Sequence[Archive], sources: Sequence[Source], further: Sequence[Any] = ()
) -> None:
    """Unpack the archives of a dataset into ``place``; if none lies there, download from the first source that answers.

    further: the config's own sources, tried first: addresses, or mappings ``{url: ..., sha256: ...}``.
    Nothing is created unless a source answers. Several processes may ask at once: one does the work.
    Raises UserError that lists what was tried and why it failed, and what to place where.
    """
    own = [_source_of(value, dataset) for value in further]
    if not any((place / archive.name).is_file() for archive in archives):
        archives = [*_download(dataset, place, archives, [*own, *sources]), *archives]
    for archive in archives:
        if (place / archive.name).is_file() and is_archive_name(archive.name):
            with file_lock(_lock(place, archive.name)):
                _unpack(place / archive.name, archive)


def is_archive_name(name: str) -> bool:
    """Whether a file of this name is unpacked."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def _source_of(value: Any, dataset: str) -> Source:
    if isinstance(value, str):
        return Source((value,))
    if isinstance(value, Mapping) and isinstance(value.get("url"), str) and value.keys() <= {"url", "sha256"}:
        return Source((value["url"],), sha256=value.get("sha256"))
    raise UserError(f"a source is an address or {{url: ..., sha256: ...}}, not {value!r}.", where=f"{dataset}/sources")


def _download(dataset: str, place: Path, archives: Sequence[Archive], sources: Sequence[Source]) -> list[Archive]:
    known = {archive.name: archive for archive in archives}
    failures = []
    for source in sources:
        got = []
        try:
            for url, name in source.files():
                archive = known.get(name) or Archive(name, sha256=source.sha256)
                _fetch(url, place, archive, source.sha256)
                got.append(archive)
            return got
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"{url} ({_reason(error)})")
    tried = f"Tried: {'; '.join(failures)}." if failures else "It is given only by agreement with its authors."
    names = " or ".join(str(place / archive.name) for archive in archives if is_archive_name(archive.name))
    raise UserError(
        f"{dataset} could not be downloaded. {tried} Place an archive at {names or place} and run the same command "
        f"again, or name another source: {{{dataset}: {{download: True, sources: [https://...]}}}}."
    )


def _fetch(url: str, place: Path, archive: Archive, sha256: str | None) -> None:
    """Save one file unless it is there; ValueError, and no file, if it is not what it should be."""
    if not archive.name or archive.name != Path(archive.name).name:
        raise ValueError("the address names no file")
    _log.info("downloading %s", url)
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
        place.mkdir(parents=True, exist_ok=True)
        with file_lock(_lock(place, archive.name)):
            if not (place / archive.name).is_file():
                _save(response, place / archive.name, archive, sha256)


def _save(response: BinaryIO, path: Path, archive: Archive, sha256: str | None) -> None:
    def copy(file: BinaryIO) -> None:
        shutil.copyfileobj(response, file, 1 << 20)
        file.flush()
        written = Path(file.name)
        if is_archive_name(archive.name) and not (tarfile.is_tarfile(written) or zipfile.is_zipfile(written)):
            raise ValueError("not the published archive, nor any: perhaps a web page")
        _require_digests(written, archive.md5, sha256 or archive.sha256)

    write_atomic(path, copy)


def _unpack(path: Path, archive: Archive) -> None:
    """Move what an archive holds below its folder, leaving what is there already."""
    target = path.parent / archive.into
    try:
        _require_digests(path, archive.md5, archive.sha256 or _digest_seen(path))
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unpacking.") as folder:
            members = _top_level(path)
            if members and all((target / name).exists() for name in members):
                return
            _log.info("unpacking %s", path)
            extract(path, Path(folder))
            target.mkdir(parents=True, exist_ok=True)
            for name in members:
                if not (target / name).exists():
                    Path(folder, name).replace(target / name)
        _remember_digest(path)
    except (OSError, tarfile.TarError, zipfile.BadZipFile, ValueError, EOFError) as error:
        raise UserError(f"{path} could not be unpacked: {error}.") from error


def extract(path: Path, folder: Path) -> None:
    """Unpack a tar or zip file into ``folder``. ValueError or TarError if something would come outside of it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            for info in file.infolist():
                parts = PurePosixPath(info.filename.replace("\\", "/")).parts
                if info.filename.startswith(("/", "\\")) or ".." in parts or ":" in "".join(parts[:1]):
                    raise ValueError(f"{info.filename!r} would be outside of the folder")
            file.extractall(folder)
        return
    with tarfile.open(path) as tar:
        tar.extractall(folder, filter="data")


def _top_level(path: Path) -> list[str]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    else:
        with tarfile.open(path) as tar:
            names = tar.getnames()
    tops = {PurePosixPath(name).parts[0] for name in names if PurePosixPath(name).parts}
    return sorted(top for top in tops if not top.startswith((".", "__MACOSX", "/")))


def _require_digests(path: Path, md5: str | None, sha256: str | None) -> None:
    for name, expected in (("md5", md5), ("sha256", sha256)):
        if expected is not None and (found := _digest(path, name)) != expected:
            raise ValueError(f"not the published archive (its {name.upper()} is {found}, not {expected})")


def _digest(path: Path, name: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()


def _digest_seen(path: Path) -> str | None:
    """The SHA-256 that the file had when it was first unpacked, for archives whose authors published none."""
    record = path.with_name(f"{path.name}.sha256")
    return record.read_text("utf-8").split()[0] if record.is_file() else None


def _remember_digest(path: Path) -> None:
    record = path.with_name(f"{path.name}.sha256")
    if not record.is_file():
        write_atomic(record, f"{sha256_of(path)}  {path.name}\n")


def _lock(place: Path, name: str) -> Path:
    return place / f".{name}.lock"


def _reason(error: Exception) -> str:
    return str(error.reason) if isinstance(error, urllib.error.URLError) else str(error) or type(error).__name__
