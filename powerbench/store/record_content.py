"""The content of a record: every row of an experiment, out of a database and into one.

A record is ``{"format": "powerbench record", "revision": ..., "tables": {name: {"columns": [...], "rows": [[...]]}}}``,
one line a row. Ids are only references within it. Numbers keep every bit; NaN is null, as in the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, Table, insert, select
from sqlalchemy.exc import IntegrityError

from powerbench.errors import UserError
from powerbench.store import tables
from powerbench.store.columns import to_json
from powerbench.store.experiments import experiment_named
from powerbench.store.migrating import SHIPPED
from powerbench.store.query import environment_id, insert_all, required
from powerbench.store.rows import ExperimentRow

FORMAT = "powerbench record"
RECORD_NAME = "record.json"

_Rows = list[dict[str, Any]]
_PARENTS = {"trials": "experiments", "runs": "trials", "measurements": "runs", "losses": "runs"}
_PARENTS |= {"evaluations": "trials", "summaries": "experiments"}
TABLES = (tables.environments, tables.experiments, *(tables.metadata.tables[name] for name in _PARENTS))


@dataclass(frozen=True)
class Record:
    """The checked content of a record: the rows of each table, with ids that refer within it."""

    rows: Mapping[str, _Rows]
    folder: Path

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.rows["experiments"][0]["name"])


def record_text(connection: Connection, name: str) -> str:
    """The record of an experiment."""
    experiment = required(experiment_named(connection, name), f"experiment named {name!r}")
    parts = [_as_json(connection, table, _belonging(table, experiment.id)) for table in TABLES]
    head = f'"format": {to_json(FORMAT)}, "revision": {to_json(SHIPPED.head)}'
    return f'{{{head}, "tables": {{\n' + ",\n".join(parts) + "\n}}\n"


def _belonging(table: Table, experiment_id: int) -> Select[Any]:
    """The rows of ``table`` that an experiment owns, or (environments) refers to."""
    if table is tables.environments:
        used = [_belonging(owner, experiment_id).subquery() for owner in (tables.runs, tables.evaluations)]
        ids = select(used[0].c.environment_id).union(select(used[1].c.environment_id))
        return select(table).where(table.c.id.in_(ids)).order_by(table.c.id)
    if table is tables.experiments:
        return select(table).where(table.c.id == experiment_id)
    parent = tables.metadata.tables[_PARENTS[table.name]]
    owners = _belonging(parent, experiment_id).subquery()
    return select(table).where(table.c[f"{parent.name[:-1]}_id"].in_(select(owners.c.id))).order_by(table.c.id)


def _as_json(connection: Connection, table: Table, rows: Select[Any]) -> str:
    columns = [column.name for column in table.columns]
    lines = ",\n".join(
        to_json([None if value != value else value for value in row]) for row in connection.execute(rows)
    )
    return f'{to_json(table.name)}: {{"columns": {to_json(columns)}, "rows": [\n{lines}\n]}}'


def insert_record(connection: Connection, record: Record) -> ExperimentRow:
    """Add a record's experiment to a store, its folder being the one the record was read from.

    Raises :class:`UserError` if the store has an experiment of that name, or if the rows contradict each other.
    """
    if experiment_named(connection, record.name) is not None:
        raise UserError(f"The results store has an experiment named {record.name!r} already.")
    try:
        _insert(connection, record)
    except (IntegrityError, KeyError) as error:
        raise UserError(f"the record's rows contradict each other ({error}).", where=str(record.folder)) from error
    return required(experiment_named(connection, record.name), f"experiment named {record.name!r}")


def _insert(connection: Connection, record: Record) -> None:
    ids: dict[str, dict[int | None, int | None]] = {"environments": {None: None}}
    for row in record.rows["environments"]:
        ids["environments"][row["id"]] = environment_id(connection, row["content"])
    for table in TABLES[1:]:
        values = [_values(row, table, record, ids) for row in record.rows[table.name]]
        if table.name not in _PARENTS.values():
            insert_all(connection, table, values)
            continue
        known = ids.setdefault(table.name, {})
        for row, content in zip(record.rows[table.name], values, strict=True):
            key = connection.execute(insert(table).values(**content)).inserted_primary_key
            known[row["id"]] = key[0] if key else None


def _values(
    row: Mapping[str, Any], table: Table, record: Record, ids: Mapping[str, Mapping[int | None, int | None]]
) -> dict[str, Any]:
    """A row with the ids of the store in place of the record's."""
    values = {name: value for name, value in row.items() if name != "id"}
    for name in values:
        if name.endswith("_id"):
            values[name] = ids[f"{name[:-3]}s"][values[name]]
    return values | ({"folder": str(record.folder)} if table is tables.experiments else {})
