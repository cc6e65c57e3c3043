"""The results store of a root folder: opened to be written, or only if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.driver.folder import ExperimentFolder
from powerbench.errors import UserError, nearest
from powerbench.roots import Roots

if TYPE_CHECKING:
    from powerbench.store.store import Store


@contextmanager
def open_store(roots: Roots) -> Iterator[Store]:
    """The store, created if there is none."""
    from powerbench.store.store import Store

    with Store.open(roots.store_url) as store:
        yield store


@contextmanager
def existing_store(roots: Roots) -> Iterator[Store | None]:
    """The store if there is one already; nothing is created."""
    if "://" not in roots.store_url and not Path(roots.store_url).exists():
        yield None
        return
    with open_store(roots) as store:
        yield store


@contextmanager
def store_of(place: str, store: Store | None, roots: Roots) -> Iterator[tuple[Store, str, Path]]:
    """Where an experiment's rows are, its name there, and its folder.

    place: a name in the ``store``, or else a folder with a record.json: a path, or a name under the root.
    """
    known = [row.name for row in store.experiments()] if store else []
    if store is not None and place in known:
        yield store, place, ExperimentFolder.of(place, roots.experiments).path
        return
    for folder in (Path(place), roots.experiments / place):
        if (folder / "record.json").is_file():
            from powerbench.store.record import store_of_record

            with store_of_record(folder / "record.json") as (record_store, name):
                yield record_store, name, folder
            return
    raise UserError(
        f"there is no experiment {place} in {roots.store_url}, and no folder {place} with a record.json, "
        f"here or in {roots.experiments}.",
        near=nearest(place, known),
    )
