"""Where a published dataset lies: its known layouts, what to do if there is none, and whether it is complete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from powerbench.datasets.archives import Archive, Source, obtain
from powerbench.errors import UserError
from split_managers.contract import DatasetIndex

Layout = TypeVar("Layout")


@dataclass(frozen=True)
class Publication:
    """A dataset as it is published.

    needs: what has to be placed where, in words. layouts: where that is sought below the root; the first one is
    recommended. archives: their known names. sources: where they are, or were, to be had; tried in this order.
    """

    name: str
    needs: str
    layouts: tuple[str, ...]
    archives: tuple[Archive, ...] = ()
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Counts:
    """How many classes and images a dataset has; ``parts``: the same of each published part, as (classes, images)."""

    classes: int
    images: int
    parts: Mapping[str, tuple[int, int]]


def locate(
    publication: Publication,
    find: Callable[[Path], Layout | None],
    root: str | None,
    dataset_root: str,
    *,
    download: bool,
    sources: Sequence[Any],
) -> Layout:
    """The layout that ``find`` sees below ``root``, or below ``dataset_root`` if that is not given.

    With ``download`` archives are unpacked, or got first, if there is none. Raises UserError that says what is
    missing and where it was sought.
    """
    place = Path(root or dataset_root).expanduser().absolute()
    found = find(place)
    if found is None and download:
        obtain(publication.name, place, publication.archives, publication.sources, sources)
        found = find(place)
    if found is None:
        raise UserError(_missing(publication, place))
    return found


def require_counts(name: str, folder: Path, index: DatasetIndex, expected: Counts) -> None:
    """Raise UserError unless an index has the published number of classes and images, as a whole and in its parts.

    A part is a published role, or ``first half`` and ``second half`` of the classes, as metric learning cuts them.
    """
    labels = index.labels[:, 0]
    found = {name: (len(np.unique(labels)), len(labels))}
    published = {name: (expected.classes, expected.images), **expected.parts}
    half = expected.classes // 2
    for part in expected.parts:
        if part in ("first half", "second half"):
            chosen = labels < half if part == "first half" else labels >= half
        else:
            chosen = np.array([role == part for role in index.roles or (None,) * len(labels)], dtype=bool)
        found[part] = (len(np.unique(labels[chosen])), int(chosen.sum()))
    for part, (classes, images) in published.items():
        if found[part] != (classes, images):
            what = name if part == name else f"the part {part!r} of {name}"
            raise UserError(
                f"{folder} holds {found[part][1]} images in {found[part][0]} classes; {what} has {images} images in "
                f"{classes} classes. It is incomplete or has been changed: unpack the archive again."
            )


def _missing(publication: Publication, place: Path) -> str:
    name, layouts = publication.name, publication.layouts
    others = ", ".join(layouts[1:])
    text = f"{name} is missing: put {publication.needs} into {place / layouts[0]}"
    text += f" (also sought below {place}: {others}). " if others else ". "
    there = [archive.name for archive in publication.archives if (place / archive.name).is_file()]
    command = f"`{{{name}: {{download: True}}}}`"
    if there:
        return text + f"{', '.join(str(place / archive) for archive in there)} is there: {command} unpacks it."
    if publication.sources:
        return text + f"{command} downloads it; --dataset_root names another parent folder."
    return text + "It is given only by agreement with its authors. --dataset_root names another parent folder."
