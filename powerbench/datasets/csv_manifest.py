"""Images listed in a CSV file."""

from __future__ import annotations

import csv
import os.path
from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.datasets.image_files import decode_image, files_checksum, listed_files, single_level_index
from powerbench.datasets.lists import refuse_repeated
from powerbench.errors import UserError, nearest

if TYPE_CHECKING:
    from PIL import Image

COLUMNS = ("path", "label", "split", "role")
SPLITS, ROLES = ("train", "val", "test"), ("query", "gallery")


class CSVManifest:
    """A dataset listed in a CSV file with the columns ``path,label`` and, if wanted, ``split`` and ``role``.

    file: absolute, or relative to the current folder or else to ``dataset_root``.
    images: the folder that paths are relative to; by default that of the CSV file.

    A label is any text; classes are sorted by it. ``split`` is train, val or test, ``role`` is query or gallery (of
    the test images); empty cells are allowed. A role, or else a split, becomes the item's published role, which
    ``PredefinedSplitManager`` follows; other split managers ignore it. Raises UserError, with the line, for what is
    wrong in the file, and if images are missing.
    """

    def __init__(self, file: str | None = None, images: str | None = None, *, dataset_root: str = "datasets") -> None:
        path = _existing(file, dataset_root)
        folder = Path(images).expanduser().absolute() if images else path.parent
        self.layout = f"{path}, images in {folder}"
        rows = read_rows(path)
        names = sorted({row["label"] for row in rows})
        number = {name: label for label, name in enumerate(names)}
        roles = [row.get("role") or row.get("split") or None for row in rows]
        items = [row["path"] for row in rows]
        self.files = listed_files(folder, items, str(path))
        labels = [number[row["label"]] for row in rows]
        self.index = single_level_index(names, labels, items, roles=roles if any(roles) else None)
        self.checksum = files_checksum(self.index, self.files)

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB; UserError if its file cannot be decoded."""
        return decode_image(self.files[item], str(self.files[item]))


def read_rows(path: Path) -> list[dict[str, str]]:
    """The checked rows of a manifest."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            _check_columns(path, reader.fieldnames or ())
            rows = [_row(row, path, reader.line_num) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}") from error
    if not rows:
        raise UserError(f"{path} lists no images.")
    refuse_repeated((os.path.normpath(row["path"]) for row in rows), str(path))
    return rows


def _check_columns(path: Path, names: object) -> None:
    found = list(names) if isinstance(names, list | tuple) else []
    for name in ("path", "label"):
        if name not in found:
            raise UserError(f"{path} has no column {name!r}; its columns are {', '.join(found) or 'none'}.")
    for name in found:
        if found.count(name) > 1:
            raise UserError(f"{path} has the column {name!r} twice.")
        if name not in COLUMNS:
            raise UserError(f"{path}: there is no column {name!r}.", near=nearest(name, COLUMNS))


def _row(row: dict[str, str | None], path: Path, line: int) -> dict[str, str]:
    where = f"{path}, line {line}"
    if None in row or None in row.values():
        raise UserError(f"{where}: expected one cell for each column of the first line.")
    clean = {name: (cell or "").strip() for name, cell in row.items()}
    for name, cell in clean.items():
        if "\0" in cell:
            raise UserError(f"{where}: {name} holds a NUL character.")
    for name in ("path", "label"):
        if not clean[name]:
            raise UserError(f"{where}: {name} is empty.")
    for name, valid in (("split", SPLITS), ("role", ROLES)):
        if clean.get(name) and clean[name] not in valid:
            raise UserError(f"{where}: {name} is {', '.join(valid)} or empty, not {clean[name]!r}.")
    if clean.get("role") and clean.get("split", "test") not in ("test", ""):
        raise UserError(f"{where}: only test images have a role, but this one's split is {clean['split']!r}.")
    return clean


def _existing(file: str | None, dataset_root: str) -> Path:
    if not file:
        raise UserError("CSVManifest needs the CSV file: {CSVManifest: {file: path/to/images.csv}}.")
    given = Path(file).expanduser()
    sought = [given.absolute()] if given.is_absolute() else [given.absolute(), Path(dataset_root, given).absolute()]
    for path in sought:
        if path.is_file():
            return path
    raise UserError(f"there is no CSV file at {' or at '.join(map(str, sought))}.")
