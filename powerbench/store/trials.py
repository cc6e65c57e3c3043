"""Trials and their fold runs: written before they start, completed in one transaction each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Connection, delete, insert, update

from powerbench.errors import PowerbenchError
from powerbench.jobs import TrainResult
from powerbench.store import tables
from powerbench.store.query import environment_id, fetch_one, insert_all, now, required, trial_by_id
from powerbench.store.rows import ExperimentRow, RunRow, TrialKind, TrialRow

_trials, _runs = tables.trials.c, tables.runs.c


def add_trial(
    connection: Connection,
    experiment_id: int,
    kind: TrialKind,
    number: int,
    parameters: Mapping[str, Any],
    proposal: Mapping[str, Any] | None,
) -> TrialRow:
    """Record a trial that is about to run, or return it if it is known with the same parameters."""
    key = (_trials.experiment_id == experiment_id, _trials.kind == kind, _trials.number == number)
    known = fetch_one(connection, TrialRow, *key)
    if known is None:
        values = {"experiment_id": experiment_id, "kind": kind, "number": number, "state": "running", "started": now()}
        connection.execute(insert(tables.trials).values(**values, parameters=parameters, proposal=proposal))
        known = required(fetch_one(connection, TrialRow, *key), f"{kind} trial {number}")
    elif known.parameters != dict(parameters):
        raise PowerbenchError(
            f"The {kind} trial {number} is in the results store with other parameters: {known.parameters}, "
            f"not {dict(parameters)}."
        )
    return known


def finish_trial(connection: Connection, trial_id: int, mean: float, sem: float | None) -> TrialRow:
    """Record a trial's result; the same result again changes nothing."""
    trial = trial_by_id(connection, trial_id)
    if (trial.state, trial.mean, trial.sem) == ("done", mean, sem):
        return trial
    return _complete(connection, trial_id, state="done", mean=mean, sem=sem, error_kind=None, error=None)


def fail_trial(connection: Connection, trial_id: int, kind: str, error: str) -> TrialRow:
    """Record that a trial gave no result, and why; the same again changes nothing."""
    trial = trial_by_id(connection, trial_id)
    if (trial.state, trial.error_kind, trial.error) == ("failed", kind, error):
        return trial
    return _complete(connection, trial_id, state="failed", mean=None, sem=None, error_kind=kind, error=error)


def _complete(connection: Connection, trial_id: int, **values: Any) -> TrialRow:
    connection.execute(update(tables.trials).where(_trials.id == trial_id).values(finished=now(), **values))
    return trial_by_id(connection, trial_id)


def delete_trial(connection: Connection, trial_id: int) -> None:
    """Delete a trial with its runs and evaluations."""
    connection.execute(delete(tables.trials).where(_trials.id == trial_id))


def add_run(connection: Connection, trial_id: int, fold: int, seed: int, folder: str) -> RunRow:
    """Record a fold run that is about to start, or return it if it is known."""
    trial = trial_by_id(connection, trial_id)
    experiment = required(
        fetch_one(connection, ExperimentRow, tables.experiments.c.id == trial.experiment_id), "such experiment"
    )
    known = _run(connection, trial_id, fold)
    if known is None:
        values = {"trial_id": trial_id, "fold": fold, "seed": seed, "state": "running", "started": now()}
        connection.execute(insert(tables.runs).values(**values, folder=relative_folder(folder, experiment.folder)))
        known = required(_run(connection, trial_id, fold), f"run of fold {fold}")
    elif known.seed != seed:
        raise PowerbenchError(f"Fold {fold} of this trial is in the results store with seed {known.seed}, not {seed}.")
    return known


def finish_run(connection: Connection, trial_id: int, fold: int, result: TrainResult) -> RunRow:
    """Record all that a fold run gave; what an earlier attempt left, and evaluations of its weights, go."""
    run = required(_run(connection, trial_id, fold), f"run of fold {fold} of the trial with id {trial_id}")
    _forget_results(connection, run)
    failure = result.failure
    values = {
        "state": "failed" if failure else "done",
        "error_kind": failure.kind if failure else None,
        "error": failure.message if failure else None,
        "environment_id": environment_id(connection, result.environment),
        "finished": now(),
    }
    same = ("fold_name", "split_checksum", "best_epoch", "best_value", "epochs", "iterations")
    values |= {name: getattr(result, name) for name in (*same, "seconds", "model_seconds")}
    connection.execute(update(tables.runs).where(_runs.id == run.id).values(**values))
    measured = [{"run_id": run.id, **vars(measurement)} for measurement in result.measurements]
    insert_all(connection, tables.measurements, measured)
    insert_all(connection, tables.losses, [{"run_id": run.id, **vars(loss)} for loss in result.losses])
    return required(_run(connection, trial_id, fold), "such run")


def reopen_run(connection: Connection, trial_id: int, fold: int) -> None:
    """Forget what a fold run gave, so that it and its trial are to be done again."""
    run = required(_run(connection, trial_id, fold), f"run of fold {fold} of the trial with id {trial_id}")
    _forget_results(connection, run)
    connection.execute(update(tables.runs).where(_runs.id == run.id).values(state="running", **_NO_ERROR))
    again = update(tables.trials).where(_trials.id == trial_id)
    connection.execute(again.values(state="running", mean=None, sem=None, **_NO_ERROR))


_NO_ERROR = {"error_kind": None, "error": None, "finished": None}


def _forget_results(connection: Connection, run: RunRow) -> None:
    for table in (tables.measurements, tables.losses):
        connection.execute(delete(table).where(table.c.run_id == run.id))
    connection.execute(delete(tables.evaluations).where(tables.evaluations.c.trial_id == run.trial_id))


def _run(connection: Connection, trial_id: int, fold: int) -> RunRow | None:
    return fetch_one(connection, RunRow, _runs.trial_id == trial_id, _runs.fold == fold)


def relative_folder(folder: str, experiment_folder: str) -> str:
    """A run's folder relative to its experiment's, so that a moved or copied experiment stays whole.

    Raises :class:`ValueError` for a folder outside.
    """
    path = PurePosixPath(folder)
    if path.is_absolute():
        path = path.relative_to(experiment_folder)
    if ".." in path.parts:
        raise ValueError(f"{folder} leads out of the experiment's folder")
    return str(path)
