"""The tables of the results store, newest version. Migrations hold their own, frozen copies."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.types import TypeEngine

from powerbench.store.columns import Json, Measured, Number

KINDS = ("search", "reproduction", "single")
STATES = ("running", "done", "failed")
MODES = ("separate", "concatenated")
SAMPLES = ("reproductions", "include_best", "best_trial", "single")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _integer(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=nullable)


def _optional(name: str, kind: type[TypeEngine[Any]] = Text) -> Column[Any]:
    return Column(name, kind)


def _part_of(table: str) -> Column[int]:
    """A reference to the row this one is a part of, and goes with."""
    return Column(f"{table}_id", ForeignKey(f"{table}s.id", ondelete="CASCADE"), nullable=False)


def _environment() -> Column[int | None]:
    return Column("environment_id", ForeignKey("environments.id"), index=True)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


environments = Table(
    "environments", metadata, _id(), _text("hash"), Column("content", Json, nullable=False), UniqueConstraint("hash")
)

experiments = Table(
    "experiments",
    metadata,
    _id(),
    _text("name"),
    Column("config", Json, nullable=False),
    _text("config_hash"),
    Column("protocol", Json, nullable=False),
    _text("protocol_fingerprint"),
    Column("seed", BigInteger, nullable=False),
    Column("budget", Json, nullable=False),
    _text("folder"),
    _text("created"),
    UniqueConstraint("name"),
    sqlite_autoincrement=True,
)

trials = Table(
    "trials",
    metadata,
    _id(),
    _part_of("experiment"),
    _text("kind"),
    _integer("number"),
    Column("parameters", Json, nullable=False),
    _text("state"),
    _optional("error_kind"),
    _optional("error"),
    _optional("mean", Number),
    _optional("sem", Number),
    _optional("proposal", Json),
    _text("started"),
    _optional("finished"),
    UniqueConstraint("experiment_id", "kind", "number"),
    _one_of("kind", KINDS),
    _one_of("state", STATES),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _part_of("trial"),
    _integer("fold"),
    _optional("fold_name"),
    Column("seed", BigInteger, nullable=False),
    _optional("split_checksum"),
    _text("state"),
    _optional("best_epoch", Integer),
    _optional("best_value", Number),
    _optional("epochs", Integer),
    _optional("iterations", Integer),
    _optional("seconds", Number),
    _optional("model_seconds", Number),
    _text("folder"),
    _environment(),
    _optional("error_kind"),
    _optional("error"),
    _text("started"),
    _optional("finished"),
    UniqueConstraint("trial_id", "fold"),
    _one_of("state", STATES),
    sqlite_autoincrement=True,
)

measurements = Table(
    "measurements",
    metadata,
    _id(),
    _part_of("run"),
    _text("split"),
    _integer("epoch"),
    _text("weights"),
    _text("metric"),
    Column("value", Measured),
    UniqueConstraint("run_id", "split", "epoch", "weights", "metric"),
)

losses = Table(
    "losses",
    metadata,
    _id(),
    _part_of("run"),
    _integer("epoch"),
    _text("name"),
    Column("value", Measured),
    UniqueConstraint("run_id", "epoch", "name"),
)

evaluations = Table(
    "evaluations",
    metadata,
    _id(),
    _part_of("trial"),
    _text("split"),
    _text("mode"),
    _text("weights"),
    _text("metric"),
    Column("value", Measured),
    _optional("sem", Number),
    _environment(),
    UniqueConstraint("trial_id", "split", "mode", "weights", "metric"),
    _one_of("mode", MODES),
)

summaries = Table(
    "summaries",
    metadata,
    _id(),
    _part_of("experiment"),
    _text("split"),
    _text("mode"),
    _text("weights"),
    _text("metric"),
    _integer("n"),
    Column("mean", Measured),
    _optional("sem", Number),
    _optional("ci_low", Number),
    _optional("ci_high", Number),
    Column("confidence", Number, nullable=False),
    _text("sample"),
    UniqueConstraint("experiment_id", "split", "mode", "weights", "metric"),
    _one_of("mode", MODES),
    _one_of("sample", SAMPLES),
)

leases = Table(
    "leases",
    metadata,
    Column("experiment_id", ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True),
    _text("token"),
    _text("host"),
    _text("machine"),
    _integer("pid"),
    _optional("process_started"),
    Column("since", Number, nullable=False),
    Column("heartbeat", Number, nullable=False),
)
