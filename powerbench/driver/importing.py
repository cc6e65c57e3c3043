"""An experiment whose folder was copied here without its results store: its record is taken into the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.driver.folder import ExperimentFolder, check_name
from powerbench.driver.stores import existing_store
from powerbench.errors import UserError
from powerbench.roots import Roots

if TYPE_CHECKING:
    from powerbench.store.store import Store


@contextmanager
def store_that_knows(name: str, roots: Roots) -> Iterator[Store | None]:
    """The store, if there is one; or a store in memory with the record that lies in the experiment's folder.

    Nothing is written. Raises :class:`UserError` for a record that cannot be used.
    """
    from powerbench.store.record import store_of_record

    check_name(name)
    with existing_store(roots) as store:
        record = _record_to_take(name, roots, store)
        if record is None:
            yield store
            return
        with store_of_record(record) as (recorded, recorded_name):
            if recorded_name != name:
                raise UserError(
                    f"it holds the experiment {recorded_name}, not {name}: name its folder {recorded_name}.",
                    where=str(record),
                )
            yield recorded


def import_record(name: str, roots: Roots, store: Store) -> Path | None:
    """Take the record in an experiment's folder into a store that lacks the experiment; the record if it was taken."""
    from powerbench.store.record import read_record

    record = _record_to_take(name, roots, store)
    if record is not None:
        store.import_record(read_record(record))
    return record


def _record_to_take(name: str, roots: Roots, store: Store | None) -> Path | None:
    record = ExperimentFolder.of(name, roots.experiments).record
    unknown = store is None or store.experiment(name) is None
    return record if unknown and record.is_file() else None
