"""``record.json``: an experiment's rows beside its files, so that a folder sent alone keeps its results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from powerbench.errors import UserError
from powerbench.store.record_checks import check_record
from powerbench.store.record_content import FORMAT, RECORD_NAME, TABLES, Record
from powerbench.store.store import Store

MAX_BYTES = 512 * 2**20


def read_record(path: Path) -> Record:
    """Read and check a record (or that of a folder), which may come from anyone.

    Raises :class:`UserError` if it is absent, too large, torn, or not what a store could hold.
    """
    path = path / RECORD_NAME if path.is_dir() else path
    where = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"a record of more than {MAX_BYTES // 2**20} MiB is not read.", where=where)
        content = json.loads(path.read_bytes(), object_pairs_hook=_object)
    except OSError as error:
        raise UserError(f"the record cannot be read: {error.strerror}.", where=where) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"not a whole record ({error}).", where=where) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("tables"), dict):
        raise UserError("not a record of powerbench.", where=where)
    return Record(check_record(content["tables"], TABLES, where), path.parent.resolve())


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key occurs twice")
    return content


@contextmanager
def store_of_record(path: Path) -> Iterator[tuple[Store, str]]:
    """A store in memory that holds a record's experiment alone, and the experiment's name."""
    record = read_record(path)
    with Store.in_memory() as store:
        store.import_record(record)
        yield store, record.name
