"""Reading rows as frozen dataclasses, and the few writing helpers every table needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select

from powerbench.errors import PowerbenchError
from powerbench.store import rows, tables
from powerbench.store.columns import to_json

Row = TypeVar("Row")

_TABLES: Mapping[type, Table] = {
    rows.ExperimentRow: tables.experiments,
    rows.TrialRow: tables.trials,
    rows.RunRow: tables.runs,
    rows.MeasurementRow: tables.measurements,
    rows.LossRow: tables.losses,
    rows.EvaluationRow: tables.evaluations,
    rows.SummaryRow: tables.summaries,
    rows.EnvironmentRow: tables.environments,
    rows.LeaseRow: tables.leases,
}


def fetch(connection: Connection, kind: type[Row], *criteria: ColumnElement[bool], order: str = "id") -> list[Row]:
    """All rows of a kind that meet the criteria, in the order of a column."""
    table = _TABLES[kind]
    columns = [table.c[field.name] for field in fields(kind)]  # type: ignore[arg-type]
    found = connection.execute(select(*columns).where(*criteria).order_by(table.c[order]))
    return [kind(**row) for row in found.mappings()]


def fetch_one(connection: Connection, kind: type[Row], *criteria: ColumnElement[bool]) -> Row | None:
    """The row that meets the criteria of a unique key, if there is one."""
    found = fetch(connection, kind, *criteria, order=next(iter(_TABLES[kind].primary_key)).name)
    return found[0] if found else None


def required(row: Row | None, what: str) -> Row:
    """The row, or a clear error if it is not in the store (deleted meanwhile, perhaps)."""
    if row is None:
        raise PowerbenchError(f"The results store holds no {what}; was the experiment deleted meanwhile?")
    return row


def trial_by_id(connection: Connection, trial_id: int) -> rows.TrialRow:
    """A trial that must exist."""
    return required(fetch_one(connection, rows.TrialRow, tables.trials.c.id == trial_id), f"trial with id {trial_id}")


def insert_all(connection: Connection, table: Table, values: list[dict[str, Any]]) -> None:
    """Insert rows, if any."""
    if values:
        connection.execute(insert(table), values)


def replace_all(connection: Connection, table: Table, key: Sequence[str], values: list[dict[str, Any]]) -> None:
    """Insert rows in place of those with the same key columns."""
    for row in values:
        connection.execute(delete(table).where(*(table.c[column] == row[column] for column in key)))
    insert_all(connection, table, values)


def environment_id(connection: Connection, content: Mapping[str, Any]) -> int | None:
    """The id of an environment, recorded now if it is new; ``None`` for an empty one."""
    if not content:
        return None
    digest = sha256(_canonical(content).encode()).hexdigest()
    known = fetch_one(connection, rows.EnvironmentRow, tables.environments.c.hash == digest)
    if known:
        return known.id
    key = connection.execute(insert(tables.environments).values(hash=digest, content=content)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(json.loads(to_json(content)), sort_keys=True)


def now() -> str:
    """The time as the store writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
