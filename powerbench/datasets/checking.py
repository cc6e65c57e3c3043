"""Whether the images of a dataset can be read, found out before anything is trained.

Of a file the header is read, and whether its end is there; only where that tells nothing is it decoded. What was found
is kept in the cache, so that it is found out once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.datasets.image_files import decode_image
from powerbench.errors import UserError
from powerbench.files import write_atomic

if TYPE_CHECKING:
    from powerbench.datasets.contract import Dataset

ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
"""Format -> what stands within the last bytes of a file that is not cut off. A GIF's single byte tells too little."""
LAST_BYTES = 64
NAMED = 10
"""How many unreadable images a message names."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check:
    """What is wrong with each unreadable item, and how many of the others have which PIL mode (``L``: grayscale)."""

    unreadable: Mapping[int, str]
    modes: Mapping[str, int]


def check_images(dataset: Dataset, cache_dir: str) -> Check:
    """Look at every image of a dataset, or take up what was found when it was as it is now.

    The result is written to the cache if there is a place for one. Images of a dataset that names no files are decoded.
    """
    files: Sequence[Path] | None = getattr(dataset, "files", None)
    path = Path(cache_dir, "checked_images", f"{_key(dataset, files)}.json")
    if path.is_file():
        kept = json.loads(path.read_text("utf-8"))
        return Check({int(item): text for item, text in kept["unreadable"].items()}, kept["modes"])
    check = _look_at_all(dataset, files)
    if path.parents[2].is_dir():
        write_atomic(path, json.dumps({"unreadable": dict(check.unreadable), "modes": dict(check.modes)}))
    return check


def refuse_unreadable(dataset: Dataset, cache_dir: str) -> None:
    """Raise UserError that names the images that cannot be read. Only datasets that name their files are looked at."""
    if not hasattr(dataset, "files"):
        return
    unreadable = check_images(dataset, cache_dir).unreadable
    if unreadable:
        raise UserError(
            f"{len(unreadable)} of {len(dataset.index)} images cannot be read: {named(unreadable)}. Replace them, or "
            "leave them out with --skip_unreadable True (they are recorded, and belong to the protocol)."
        )


def named(unreadable: Mapping[int, str]) -> str:
    """The first unreadable images and what is wrong with them."""
    texts = list(unreadable.values())
    return "; ".join(texts[:NAMED]) + (f"; and {len(texts) - NAMED} more" if len(texts) > NAMED else "")


def look_at(path: Path) -> tuple[str | None, str]:
    """What is wrong with an image file, if something is, and its PIL mode."""
    from PIL import Image

    try:
        with open(path, "rb") as file:
            with Image.open(file) as image:
                kind, mode = image.format or "", image.mode
            file.seek(max(0, path.stat().st_size - LAST_BYTES))
            whole = kind in ENDS and ENDS[kind] in file.read()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{path} ({'it is no image' if 'cannot identify' in str(error) else error})", ""
    if not whole:
        try:
            decode_image(path, str(path))
        except UserError as error:
            return f"{path} ({error.what.rpartition(': ')[2]})", mode
    return None, mode


def _look_at_all(dataset: Dataset, files: Sequence[Path] | None) -> Check:
    from tqdm import tqdm

    unreadable: dict[int, str] = {}
    modes: Counter[str] = Counter()
    count = len(dataset.index)
    _log.info("looking at %d images", count)
    for item in tqdm(range(count), desc="looking at images", unit="image", disable=not sys.stderr.isatty()):
        problem, mode = look_at(files[item]) if files is not None else _decoded(dataset, item)
        if problem is not None:
            unreadable[item] = problem
        else:
            modes[mode] += 1
    return Check(unreadable, dict(modes))


def _decoded(dataset: Dataset, item: int) -> tuple[str | None, str]:
    try:
        return None, dataset.image(item).mode
    except UserError as error:
        return error.what, ""


def _key(dataset: Dataset, files: Sequence[Path] | None) -> str:
    """Changes with the items, their places and the times at which their files were changed."""
    digest = hashlib.sha256(f"2 {dataset.checksum}".encode())
    for file in files or ():
        digest.update(f"{file}\0{file.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]
