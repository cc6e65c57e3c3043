"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    _experiments_and_trials()
    _runs()
    _results()
    _leases()


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _number(name: str, *, nullable: bool = True) -> sa.Column[float]:
    return sa.Column(name, sa.Float(53), nullable=nullable)


def _part_of(table: str) -> sa.Column[int]:
    return sa.Column(f"{table}_id", sa.Integer, sa.ForeignKey(f"{table}s.id", ondelete="CASCADE"), nullable=False)


def _one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({', '.join(map(repr, values))})", name=f"ck_{table}_{column}")


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}")


def _environment() -> sa.Column[int]:
    return sa.Column("environment_id", sa.Integer, sa.ForeignKey("environments.id"), index=True)


def _experiments_and_trials() -> None:
    op.create_table("environments", _id(), _text("hash"), _text("content"), _unique("environments", "hash"))
    op.create_table(
        "experiments",
        _id(),
        *(_text(name) for name in ("name", "config", "config_hash", "protocol", "protocol_fingerprint")),
        sa.Column("seed", sa.BigInteger, nullable=False),
        *(_text(name) for name in ("budget", "folder", "created")),
        _unique("experiments", "name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "trials",
        _id(),
        _part_of("experiment"),
        _text("kind"),
        _integer("number"),
        _text("parameters"),
        _text("state"),
        _text("error_kind", nullable=True),
        _text("error", nullable=True),
        _number("mean"),
        _number("sem"),
        _text("proposal", nullable=True),
        _text("started"),
        _text("finished", nullable=True),
        _unique("trials", "experiment_id", "kind", "number"),
        _one_of("trials", "kind", "search", "reproduction", "single"),
        _one_of("trials", "state", "running", "done", "failed"),
        sqlite_autoincrement=True,
    )


def _runs() -> None:
    op.create_table(
        "runs",
        _id(),
        _part_of("trial"),
        _integer("fold"),
        _text("fold_name", nullable=True),
        sa.Column("seed", sa.BigInteger, nullable=False),
        _text("split_checksum", nullable=True),
        _text("state"),
        _integer("best_epoch", nullable=True),
        _number("best_value"),
        _integer("epochs", nullable=True),
        _integer("iterations", nullable=True),
        _number("seconds"),
        _number("model_seconds"),
        _text("folder"),
        _environment(),
        _text("error_kind", nullable=True),
        _text("error", nullable=True),
        _text("started"),
        _text("finished", nullable=True),
        _unique("runs", "trial_id", "fold"),
        _one_of("runs", "state", "running", "done", "failed"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "measurements",
        _id(),
        _part_of("run"),
        _text("split"),
        _integer("epoch"),
        _text("weights"),
        _text("metric"),
        _number("value"),
        _unique("measurements", "run_id", "split", "epoch", "weights", "metric"),
    )
    op.create_table(
        "losses",
        _id(),
        _part_of("run"),
        _integer("epoch"),
        _text("name"),
        _number("value"),
        _unique("losses", "run_id", "epoch", "name"),
    )


def _results() -> None:
    op.create_table(
        "evaluations",
        _id(),
        _part_of("trial"),
        *(_text(name) for name in ("split", "mode", "weights", "metric")),
        _number("value"),
        _number("sem"),
        _environment(),
        _unique("evaluations", "trial_id", "split", "mode", "weights", "metric"),
        _one_of("evaluations", "mode", "separate", "concatenated"),
    )
    op.create_table(
        "summaries",
        _id(),
        _part_of("experiment"),
        *(_text(name) for name in ("split", "mode", "weights", "metric")),
        _integer("n"),
        *(_number(name) for name in ("mean", "sem", "ci_low", "ci_high")),
        _number("confidence", nullable=False),
        _text("sample"),
        _unique("summaries", "experiment_id", "split", "mode", "weights", "metric"),
        _one_of("summaries", "mode", "separate", "concatenated"),
        _one_of("summaries", "sample", "reproductions", "include_best", "best_trial", "single"),
    )


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("experiment_id", sa.Integer, sa.ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True),
        *(_text(name) for name in ("token", "host", "machine")),
        _integer("pid"),
        _text("process_started", nullable=True),
        _number("since", nullable=False),
        _number("heartbeat", nullable=False),
    )
