"""The results store: the only module that writes results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Table, select

from powerbench.files import write_atomic
from powerbench.jobs import EvaluateResult, TrainResult
from powerbench.store import evaluations, experiments, lease, tables, trials
from powerbench.store.database import Database, parse_url
from powerbench.store.folder_lock import folder_lock
from powerbench.store.lease import STALE_SECONDS, Lease
from powerbench.store.migrating import SHIPPED, Revisions
from powerbench.store.query import Row, fetch, required, trial_by_id
from powerbench.store.record_content import RECORD_NAME, Record, insert_record, record_text
from powerbench.store.rows import (
    EnvironmentRow,
    EvaluationRow,
    ExperimentRow,
    LeaseRow,
    LossRow,
    MeasurementRow,
    RunRow,
    SummaryRow,
    TrialKind,
    TrialRow,
)


class Store:
    """An open results store; rows come back as frozen dataclasses.

    Each writing method is one transaction: it is recorded whole or not at all. Writes to an experiment whose
    lease this store has taken check it, and raise :class:`~powerbench.store.lease.LeaseLost` once it is gone.
    NaN is stored as NULL and read as NaN in measured values, as ``None`` elsewhere.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases: dict[int, str] = {}

    @classmethod
    def open(cls, place: str | Path, *, create: bool = True, revisions: Revisions = SHIPPED) -> Self:
        """Open the store at a path or database URL, bringing its schema up to date.

        A new file is created with the folders above it unless ``create`` is false. Raises :class:`UserError` for a
        place that cannot hold a store, holds something else, or was written by a newer version.
        """
        return cls(Database(parse_url(place), create=create, revisions=revisions))

    @classmethod
    def in_memory(cls) -> Self:
        """An empty store that vanishes when closed."""
        return cls.open("sqlite://")

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- experiments

    def create_experiment(
        self,
        name: str,
        config: Any,
        config_hash: str,
        protocol: Mapping[str, Any],
        fingerprint: str,
        seed: int,
        budget: Mapping[str, Any],
        folder: str | Path,
    ) -> ExperimentRow:
        """Record a new experiment. Raises :class:`UserError` if the name is taken."""
        values = {"config": config, "config_hash": config_hash, "protocol": protocol, "budget": budget, "seed": seed}
        values |= {"protocol_fingerprint": fingerprint, "folder": str(folder)}
        with self._database.writing() as connection:
            return experiments.create_experiment(connection, name, values)

    def experiment(self, name: str) -> ExperimentRow | None:
        """The experiment of that name, if there is one."""
        with self._database.reading() as connection:
            return experiments.experiment_named(connection, name)

    def experiments(self) -> list[ExperimentRow]:
        """All experiments in the order of their creation."""
        return self._fetch(ExperimentRow, tables.experiments)

    def update_experiment(
        self,
        name: str,
        *,
        config: Any = None,
        config_hash: str | None = None,
        budget: Mapping[str, Any] | None = None,
        protocol: Mapping[str, Any] | None = None,
        fingerprint: str | None = None,
        folder: str | Path | None = None,
    ) -> ExperimentRow:
        """Change what is given; the rest stays."""
        changes = {"config": config, "config_hash": config_hash, "budget": budget, "protocol": protocol}
        changes |= {"protocol_fingerprint": fingerprint, "folder": str(folder) if folder else None}
        with self._database.writing() as connection:
            experiment = required(experiments.experiment_named(connection, name), f"experiment named {name!r}")
            self._check_lease(connection, experiment.id)
            return experiments.update_experiment(connection, name, changes)

    def delete_experiment(self, name: str) -> dict[str, int]:
        """Delete an experiment with all its rows; returns the number of rows gone by table.

        Raises :class:`~powerbench.store.lease.LeaseRefused` while another driver works on it.
        """
        with self._database.writing() as connection:
            experiment = required(experiments.experiment_named(connection, name), f"experiment named {name!r}")
            if experiment.id not in self._leases:
                lease.take(connection, experiment.id, STALE_SECONDS, None)
            self._check_lease(connection, experiment.id)
            self._leases.pop(experiment.id, None)
            return experiments.delete_experiment(connection, experiment)

    # -- trials and runs

    def add_trial(
        self,
        experiment_id: int,
        kind: TrialKind,
        number: int,
        parameters: Mapping[str, Any],
        proposal: Mapping[str, Any] | None = None,
    ) -> TrialRow:
        """Record a trial before it is launched; a known one with equal parameters is returned as it is."""
        with self._writing(experiment_id) as connection:
            return trials.add_trial(connection, experiment_id, kind, number, parameters, proposal)

    def trials(self, experiment_id: int, kind: str | None = None) -> list[TrialRow]:
        """The trials of an experiment (of one kind) by number."""
        same = {"kind": kind} if kind else {}
        return self._fetch(TrialRow, tables.trials, experiment_id=experiment_id, **same, order="number")

    def trial(self, trial_id: int) -> TrialRow:
        """A trial that is known."""
        with self._database.reading() as connection:
            return trial_by_id(connection, trial_id)

    def finish_trial(self, trial_id: int, mean: float, sem: float | None) -> TrialRow:
        """Record a trial's primary metric: the folds' mean and its standard error (``None`` for one fold)."""
        with self._writing_trial(trial_id) as connection:
            return trials.finish_trial(connection, trial_id, mean, sem)

    def fail_trial(self, trial_id: int, kind: str, error: str) -> TrialRow:
        """Record that a trial gave no result, and why."""
        with self._writing_trial(trial_id) as connection:
            return trials.fail_trial(connection, trial_id, kind, error)

    def delete_trial(self, trial_id: int) -> None:
        """Delete a trial with all its rows."""
        with self._writing_trial(trial_id) as connection:
            trials.delete_trial(connection, trial_id)

    def add_run(self, trial_id: int, fold: int, seed: int, folder: str | Path) -> RunRow:
        """Record a fold run before it starts; ``folder`` lies in the experiment's and is stored relative to it."""
        with self._writing_trial(trial_id) as connection:
            return trials.add_run(connection, trial_id, fold, seed, str(folder))

    def finish_run(self, trial_id: int, fold: int, result: TrainResult) -> RunRow:
        """Record a fold run's result in place of what an earlier attempt left."""
        with self._writing_trial(trial_id) as connection:
            return trials.finish_run(connection, trial_id, fold, result)

    def reopen_run(self, trial_id: int, fold: int) -> None:
        """Forget a fold run's result, so that the run and its trial are to be done again."""
        with self._writing_trial(trial_id) as connection:
            trials.reopen_run(connection, trial_id, fold)

    def runs(self, trial_id: int) -> list[RunRow]:
        """The fold runs of a trial by fold."""
        return self._fetch(RunRow, tables.runs, trial_id=trial_id, order="fold")

    # -- what was measured, and the record of it all

    def record_evaluation(self, trial_id: int, result: EvaluateResult) -> None:
        """Record an evaluation of a trial's fold models in place of earlier values under the same keys."""
        with self._writing_trial(trial_id) as connection:
            evaluations.record_evaluation(connection, trial_id, result)

    def refresh_summaries(
        self, experiment_id: int, confidence: float = 0.95, include_best: bool = False
    ) -> list[SummaryRow]:
        """Recompute and return the summaries of an experiment from its evaluations."""
        with self._writing(experiment_id) as connection:
            return evaluations.refresh_summaries(connection, experiment_id, confidence, include_best)

    def evaluations(self, trial_id: int) -> list[EvaluationRow]:
        """The evaluations of a trial."""
        return self._fetch(EvaluationRow, tables.evaluations, trial_id=trial_id)

    def summaries(self, experiment_id: int) -> list[SummaryRow]:
        """The summaries of an experiment as last refreshed."""
        return self._fetch(SummaryRow, tables.summaries, experiment_id=experiment_id)

    def measurements(self, run_id: int) -> list[MeasurementRow]:
        """The measurements of a fold run by epoch."""
        return self._fetch(MeasurementRow, tables.measurements, run_id=run_id, order="epoch")

    def losses(self, run_id: int) -> list[LossRow]:
        """The losses of a fold run by epoch."""
        return self._fetch(LossRow, tables.losses, run_id=run_id, order="epoch")

    def environments(self, experiment_id: int) -> list[EnvironmentRow]:
        """The environments in which an experiment's runs were trained, the first seen first."""
        of_trials = select(tables.trials.c.id).where(tables.trials.c.experiment_id == experiment_id)
        used = select(tables.runs.c.environment_id).where(tables.runs.c.trial_id.in_(of_trials))
        with self._database.reading() as connection:
            return fetch(connection, EnvironmentRow, tables.environments.c.id.in_(used))

    def record(self, name: str) -> str:
        """Every row of an experiment, as ``record.json`` holds them."""
        with self._database.reading() as connection:
            return record_text(connection, name)

    def write_record(self, name: str, folder: Path) -> Path:
        """Write :meth:`record` to ``record.json`` in ``folder``, whole or not at all."""
        write_atomic(folder / RECORD_NAME, self.record(name))
        return folder / RECORD_NAME

    def import_record(self, record: Record) -> ExperimentRow:
        """Add a record's experiment, its folder being the one the record was read from.

        Raises :class:`UserError` if there is an experiment of that name, or if the rows contradict each other.
        """
        with self._database.writing() as connection:
            return insert_record(connection, record)

    # -- the lease

    def acquire_lease(self, experiment_id: int, *, stale_seconds: float = STALE_SECONDS) -> Lease:
        """Become the driver of an experiment. Raises :class:`LeaseRefused` while another one lives.

        A driver of this machine lives while its process does; one of another machine while its heartbeat is younger
        than ``stale_seconds`` (if the clocks disagree, it is watched for that long).
        """
        token = lease.acquire(self._database, experiment_id, stale_seconds)
        self._leases[experiment_id] = token
        return Lease(self, experiment_id, token)

    @contextmanager
    def lease(self, experiment_id: int, folder: Path) -> Iterator[Lease]:
        """Be the only driver of an experiment for a block: its lease, and a lock on its folder that dies with us."""
        with folder_lock(folder), self.acquire_lease(experiment_id) as held:
            yield held

    def driver(self, experiment_id: int) -> LeaseRow | None:
        """The lease of an experiment, alive or stale (see :func:`~powerbench.store.lease.driver_lives`)."""
        with self._database.reading() as connection:
            return lease.lease_of(connection, experiment_id)

    def beat(self, held: Lease) -> None:
        """Renew a lease's heartbeat; raises :class:`~powerbench.store.lease.LeaseLost` if it is lost."""
        with self._database.writing() as connection:
            lease.check(connection, held.experiment_id, held.token)

    def release_lease(self, held: Lease) -> None:
        """Give a lease back."""
        if self._leases.get(held.experiment_id) == held.token:
            del self._leases[held.experiment_id]
        with self._database.writing() as connection:
            lease.give_back(connection, held.experiment_id, held.token)

    # -- plumbing

    @contextmanager
    def _writing(self, experiment_id: int) -> Iterator[Connection]:
        with self._database.writing() as connection:
            self._check_lease(connection, experiment_id)
            yield connection

    @contextmanager
    def _writing_trial(self, trial_id: int) -> Iterator[Connection]:
        with self._database.writing() as connection:
            self._check_lease(connection, trial_by_id(connection, trial_id).experiment_id)
            yield connection

    def _check_lease(self, connection: Connection, experiment_id: int) -> None:
        if experiment_id in self._leases:
            lease.check(connection, experiment_id, self._leases[experiment_id])

    def _fetch(self, row: type[Row], table: Table, /, *, order: str = "id", **same: int | str) -> list[Row]:
        with self._database.reading() as connection:
            criteria = [table.c[column] == value for column, value in same.items()]
            return fetch(connection, row, *criteria, order=order)
