"""Evaluations of a trial's models, and the summaries of an experiment with their intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete

from powerbench.errors import PowerbenchError
from powerbench.jobs import CONCATENATED, SEPARATE, EvaluateResult, SeparateValue
from powerbench.store import tables
from powerbench.store.intervals import mean_and_sem, mean_interval
from powerbench.store.query import environment_id, fetch, insert_all, replace_all, trial_by_id
from powerbench.store.rows import EvaluationRow, RunRow, Sample, SummaryRow, TrialRow, best_trial

_Key = tuple[str, str, str]


def record_evaluation(connection: Connection, trial_id: int, result: EvaluateResult) -> None:
    """Record an evaluation; values that were there under the same keys are replaced.

    Raises :class:`PowerbenchError` if the result is a failure or does not cover all of the trial's folds:
    a mean over some folds would pass for one over all.
    """
    trial_by_id(connection, trial_id)
    if result.failure:
        raise PowerbenchError(f"The evaluation failed: {result.failure.message}")
    runs = {run.fold: run.id for run in fetch(connection, RunRow, tables.runs.c.trial_id == trial_id)}
    by_key = _by_key(result.separate)
    for key, folds in by_key.items():
        if sorted(folds) != sorted(runs):
            raise PowerbenchError(f"The evaluation {key} covers the folds {sorted(folds)}, not {sorted(runs)}.")
    measured = [
        {**{name: value for name, value in vars(item).items() if name != "fold"}, "run_id": runs[item.fold]}
        for item in result.separate
    ]
    replace_all(connection, tables.measurements, ("run_id", "split", "epoch", "weights", "metric"), measured)
    rows: list[dict[str, Any]] = []
    for (split, weights, metric), folds in by_key.items():
        value, sem = mean_and_sem([folds[fold].value for fold in sorted(folds)])
        rows.append(
            {"mode": SEPARATE, "split": split, "weights": weights, "metric": metric, "value": value, "sem": sem}
        )
    rows += [{"mode": CONCATENATED, **vars(item), "sem": None} for item in result.concatenated]
    environment = environment_id(connection, result.environment)
    rows = [{**row, "trial_id": trial_id, "environment_id": environment} for row in rows]
    replace_all(connection, tables.evaluations, ("trial_id", "split", "mode", "weights", "metric"), rows)


def _by_key(values: Iterable[SeparateValue]) -> dict[_Key, dict[int, SeparateValue]]:
    grouped: dict[_Key, dict[int, SeparateValue]] = defaultdict(dict)
    for item in values:
        folds = grouped[item.split, item.weights, item.metric]
        if item.fold in folds:
            raise PowerbenchError(
                f"The evaluation has two values of {item.metric} on {item.split} for fold {item.fold}."
            )
        folds[item.fold] = item
    return grouped


def refresh_summaries(
    connection: Connection, experiment_id: int, confidence: float, include_best: bool
) -> list[SummaryRow]:
    """Replace an experiment's summaries by those of its evaluations now."""
    trials = fetch(connection, TrialRow, tables.trials.c.experiment_id == experiment_id, order="number")
    sample, members = sample_of(trials, include_best=include_best)
    values: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for trial in members:
        for row in fetch(connection, EvaluationRow, tables.evaluations.c.trial_id == trial.id):
            values[row.split, row.mode, row.weights, row.metric].append(row.value)
    table = tables.summaries
    connection.execute(delete(table).where(table.c.experiment_id == experiment_id))
    rows = []
    for (split, mode, weights, metric), numbers in sorted(values.items()):
        found = mean_interval(numbers, confidence)
        what = {"experiment_id": experiment_id, "split": split, "mode": mode, "weights": weights, "metric": metric}
        how = {"n": found.n, "mean": found.mean, "sem": found.sem, "ci_low": found.low, "ci_high": found.high}
        rows.append({**what, **how, "confidence": confidence, "sample": sample})
    insert_all(connection, table, rows)
    return fetch(connection, SummaryRow, table.c.experiment_id == experiment_id)


def sample_of(trials: list[TrialRow], *, include_best: bool = False) -> tuple[Sample, list[TrialRow]]:
    """The trials whose results stand for an experiment, and what they are called.

    These are the finished reproductions (of a search: those of its best trial's parameters). ``include_best``
    adds the best trial itself, as the predecessor did; it was selected, so this flatters. Without any
    reproduction the best trial, or the single one, stands alone, with no interval.
    """
    best = best_trial(trials)
    done = [trial for trial in trials if trial.state == "done"]
    reproductions = [
        trial
        for trial in done
        if trial.kind == "reproduction" and (best is None or trial.parameters == best.parameters)
    ]
    if reproductions and best is not None and include_best:
        return "include_best", [best, *reproductions]
    if reproductions:
        return "reproductions", reproductions
    if best is not None:
        return "best_trial", [best]
    return "single", [trial for trial in done if trial.kind == "single"]
