"""The dataset that comes with powerbench."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.datasets.image_files import decode_image, is_image_name, single_level_index
from powerbench.errors import PowerbenchError

if TYPE_CHECKING:
    from PIL import Image

ARCHIVE = Path(__file__).parent / "emoji200" / "emoji200.zip"
FOLDER = "emoji/images/"
CLASSES, IMAGES = 200, 1440


class Emoji200:
    """200 emoji as classes, each drawn by 7 or 8 vendors: 1440 images of 64 x 64 pixels on white.

    Read from the archive inside the package (1.4 MB, held in memory); its README names the authors
    and licences of the drawings. Related vendor sets inflate recall at 1: judge by MAP@R.
    Raises PowerbenchError if the archive is not the one that was shipped.
    """

    def __init__(self) -> None:
        self._archive = _archive(ARCHIVE)
        self.index, self.checksum = self._archive.index, self._archive.checksum

    def image(self, item: int) -> Image.Image:
        """The image of an item, in RGB."""
        return decode_image(self._archive.images[item], self.index.item_names[item])


class _Archive:
    """The archive at ``path``, in memory."""

    def __init__(self, path: Path) -> None:
        self._content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(self._content)) as file:
            names = sorted(n for n in file.namelist() if n.startswith(FOLDER) and is_image_name(Path(n).name))
        items = [name.removeprefix(FOLDER) for name in names]
        classes = sorted({item.split("/")[0] for item in items})
        if (len(classes), len(items)) != (CLASSES, IMAGES):
            found = f"{len(classes)} classes and {len(items)} images instead of {CLASSES} and {IMAGES}"
            raise PowerbenchError(f"{path} holds {found}: install powerbench again.")
        number = {name: label for label, name in enumerate(classes)}
        self.index = single_level_index(classes, [number[item.split("/")[0]] for item in items], items)
        self.checksum = hashlib.sha256(self._content).hexdigest()

    @cached_property
    def images(self) -> list[bytes]:
        """The image files; a frozen trunk whose features are kept never asks for them."""
        with zipfile.ZipFile(io.BytesIO(self._content)) as file:
            return [file.read(FOLDER + item) for item in self.index.item_names]


@cache
def _archive(path: Path) -> _Archive:
    """It is read once in a process: every fold run opens the dataset, and an installed file does not change."""
    return _Archive(path)
