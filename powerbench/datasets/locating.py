"""Where a published dataset lies: its known layouts, what to do if there is none, and whether it is complete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from powerbench.datasets.archives import Archive, Source, obtain
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex


@dataclass(frozen=True)
class Layout:
    """What was found where. kind: in words. below: the folder in ``folder`` that item names are relative to."""

    kind: str
    folder: Path
    below: str = ""

    @property
    def images(self) -> Path:
        """The folder that item names are relative to."""
        return self.folder / self.below

    @property
    def text(self) -> str:
        """In words, with its place."""
        return f"{self.kind} in {self.images}"


@dataclass(frozen=True)
class Counts:
    """How many classes and images a dataset has; ``parts``: the same of each published part, as (classes, images).

    A part is a published role, or ``first half`` and ``second half`` of the classes, as metric learning cuts them.
    """

    classes: int
    images: int
    parts: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Publication:
    """A dataset as it is published.

    needs: what has to be placed where, in words. layouts: where that is sought below the root (which may itself be one
    of them); the first one is recommended. archives: their known names. sources: where they are, or were, to be had;
    tried in this order. counts: what must be there; None where the published numbers contradict each other.
    """

    name: str
    needs: str
    layouts: tuple[str, ...]
    archives: tuple[Archive, ...] = ()
    sources: tuple[Source, ...] = ()
    counts: Counts | None = None

    def find(self, place: Path, layout_in: Callable[[Path], Layout | None]) -> Layout | None:
        """The first layout below ``place``, or at it."""
        return next((found for name in (*self.layouts, ".") if (found := layout_in(place / name))), None)


def locate(
    publication: Publication,
    layout_in: Callable[[Path], Layout | None],
    root: str | None,
    dataset_root: str,
    *,
    download: bool,
    sources: Sequence[Any],
) -> Layout:
    """The layout that ``layout_in`` sees below ``root``, or below ``dataset_root`` if that is not given.

    With ``download`` archives are unpacked, or got first, if there is none. Raises UserError that says what is
    missing and where it was sought.
    """
    place = Path(root or dataset_root).expanduser().absolute()
    found = publication.find(place, layout_in)
    if found is None and download:
        obtain(publication.name, place, publication.archives, publication.sources, sources)
        found = publication.find(place, layout_in)
    if found is None:
        raise UserError(_missing(publication, place))
    return found


def require_counts(publication: Publication, folder: Path, index: DatasetIndex) -> None:
    """Raise UserError unless an index has the published number of classes and images, as a whole and in its parts."""
    if (expected := publication.counts) is None:
        return
    labels = index.labels[:, 0]
    numbered = labels[labels < expected.classes]  # a class with a higher number is none of the published ones
    found = {"": (len(np.unique(numbered)), len(labels))}
    half = expected.classes // 2
    for part in expected.parts:
        if part in ("first half", "second half"):
            chosen = labels < half if part == "first half" else labels >= half
        else:
            chosen = np.array([role == part for role in index.roles or (None,) * len(labels)], dtype=bool)
        found[part] = (len(np.unique(labels[chosen])), int(chosen.sum()))
    for part, (classes, images) in {"": (expected.classes, expected.images), **expected.parts}.items():
        if found[part] != (classes, images):
            what = f"the part {part!r} of {publication.name}" if part else publication.name
            raise UserError(
                f"{folder} holds {found[part][1]} images in {found[part][0]} classes; {what} has {images} images in "
                f"{classes} classes. It is incomplete or has been changed: unpack the archive again."
            )


def _missing(publication: Publication, place: Path) -> str:
    name, layouts = publication.name, publication.layouts
    text = f"{name} is missing: put {publication.needs} into {place / layouts[0]} "
    text += f"(also sought at {place} and below it: {', '.join(layouts[1:])}). "
    there = [archive.name for archive in publication.archives if (place / archive.name).is_file()]
    command = f"`{{{name}: {{download: True}}}}`"
    if there:
        return text + f"{', '.join(str(place / archive) for archive in there)} is there: {command} unpacks it."
    if publication.sources:
        return text + f"{command} downloads it; --dataset_root names another parent folder."
    return text + "It is given only by agreement with its authors. --dataset_root names another parent folder."
