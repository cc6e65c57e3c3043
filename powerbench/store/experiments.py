"""Experiments: created, changed, deleted with everything that belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from powerbench.errors import UserError
from powerbench.store import tables
from powerbench.store.query import fetch_one, now, required
from powerbench.store.rows import ExperimentRow

_MAX_SEED = 2**63 - 1


def experiment_named(connection: Connection, name: str) -> ExperimentRow | None:
    """The experiment of that name, if there is one."""
    return fetch_one(connection, ExperimentRow, tables.experiments.c.name == name)


def create_experiment(connection: Connection, name: str, values: Mapping[str, Any]) -> ExperimentRow:
    """Record a new experiment; its name must be free."""
    if experiment_named(connection, name) is not None:
        raise UserError(f"The results store has an experiment named {name!r} already.")
    if values["seed"] > _MAX_SEED:
        raise UserError(f"A seed is at most {_MAX_SEED}, not {values['seed']}.")
    connection.execute(insert(tables.experiments).values(name=name, created=now(), **values))
    return required(experiment_named(connection, name), f"experiment {name!r}")


def update_experiment(connection: Connection, name: str, changes: Mapping[str, Any]) -> ExperimentRow:
    """Change columns of an experiment; ``None`` leaves a column as it is."""
    values = {column: value for column, value in changes.items() if value is not None}
    if values:
        connection.execute(update(tables.experiments).where(tables.experiments.c.name == name).values(**values))
    return required(experiment_named(connection, name), f"experiment named {name!r}")


def delete_experiment(connection: Connection, experiment: ExperimentRow) -> dict[str, int]:
    """Delete an experiment and all it owns; returns how many rows went from each table."""
    counted = (*tables.metadata.sorted_tables,)
    before = {table.name: _count(connection, table) for table in counted}
    connection.execute(delete(tables.experiments).where(tables.experiments.c.id == experiment.id))
    used = select(tables.runs.c.environment_id).where(tables.runs.c.environment_id.is_not(None))
    evaluated = select(tables.evaluations.c.environment_id).where(tables.evaluations.c.environment_id.is_not(None))
    unused = tables.environments.c.id.not_in(used.union(evaluated))
    connection.execute(delete(tables.environments).where(unused))
    return {table.name: before[table.name] - _count(connection, table) for table in counted}


def _count(connection: Connection, table: Any) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()
