"""What an earlier program logged of an experiment, shown beside what is measured now.

A folder keeps it as ``logged.json``. It is told apart from our own results: never stored, summarised or compared as if
it were one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from meta_logs.formatting import Estimate, Value, is_fraction, metric_label, words
from meta_logs.results import ExperimentResults, results_of
from meta_logs.statistics.welch import welch
from meta_logs.table import Table
from powerbench.errors import UserError
from powerbench.files import write_atomic
from powerbench.jobs import MODES, SEPARATE, TRAINED, WEIGHTS
from powerbench.store.intervals import mean_interval
from powerbench.store.store import Store

FILE_NAME = "logged.json"
CONFIDENCE = 0.95
_SPLITS = ("test", "val", "train")
_Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class LoggedValue:
    """A metric of one training, in today's names."""

    training: str
    split: str
    mode: str
    weights: str
    metric: str
    value: float

    @property
    def key(self) -> _Key:
        """What was measured."""
        return self.split, self.mode, self.weights, self.metric


@dataclass(frozen=True)
class Logged:
    """The values in an earlier program's folder. ``notes``: what could not be read there."""

    program: str
    folder: str
    values: tuple[LoggedValue, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def trainings(self) -> int:
        """How many trainings have values."""
        return len({value.training for value in self.values})

    def by_key(self) -> dict[_Key, list[float]]:
        """The trainings' values of each metric, in the order of tables."""
        found: dict[_Key, list[float]] = {}
        for value in sorted(self.values, key=_order):
            found.setdefault(value.key, []).append(value.value)
        return found


def keep_logged(folder: Path, logged: Logged) -> None:
    """Write ``logged.json`` into a folder."""
    write_atomic(folder / FILE_NAME, json.dumps(asdict(logged), indent=1) + "\n")


def logged_in(folder: Path) -> Logged | None:
    """What :func:`keep_logged` wrote there, if it did. Raises :class:`UserError` for a file that it did not write."""
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        values = tuple(LoggedValue(**{**value, "value": float(value["value"])}) for value in content["values"])
        logged = Logged(content["program"], content["folder"], values, tuple(content["notes"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"this is not what powerbench wrote ({error}).", where=str(path)) from error
    texts: list[Any] = [logged.program, logged.folder, *logged.notes, *(text for v in values for text in v.key)]
    if not all(isinstance(text, str) for text in texts):
        raise UserError("names and notes are texts.", where=str(path))
    return logged


def logged_table(logged: Logged, now: ExperimentResults) -> Table:
    """Logged and measured now, metric by metric."""
    rows = tuple(_row(key, values, now) for key, values in logged.by_key().items())
    columns = ("Split", "Mode", "Weights", "Metric", "Logged", "Now", "Difference")
    notes = (
        f"Logged: from the tables that {logged.program} left in {logged.folder}. Mean ± half width of the "
        f"{CONFIDENCE:.0%} interval over n trainings (n), fractions in percent. Difference: now minus logged, with "
        "Welch's interval where both have two trainings or more.",
        f"{logged.program} recorded no checksums, seeds or tie rule: whether data, initial weights and ties were the "
        "same cannot be checked.",
        *logged.notes,
    )
    return Table(f"{now.experiment.name}: what {logged.program} logged, and what is measured now", columns, rows, notes)


def report_logged(store: Store, name: str, folder: Path, say: Callable[[str], object]) -> None:
    """Print what was logged beside the results, and write it to ``meta_logs``, if the experiment has such a log."""
    logged = logged_in(folder)
    if logged is None:
        return
    if logged.values:
        table = logged_table(logged, results_of(store, name))
        table.write(folder / "meta_logs", "logged")
        say(table.text)
    else:
        for note in logged.notes:
            say(f"logged: {note}")


def _row(key: _Key, values: Sequence[float], now: ExperimentResults) -> tuple[Value, ...]:
    split, mode, weights, metric = key
    percent = is_fraction(metric)
    ours = now.values_that_count(split, mode, weights, metric) or _on_validation(key, now)
    logged, measured = _estimate(values, percent), _estimate(ours, percent) if ours else None
    difference = welch(ours, values, CONFIDENCE)
    if difference is not None:
        shown: Value = Estimate(difference.mean, difference.half_width, len(values) + len(ours), percent)
    else:
        shown = Estimate(measured.mean - logged.mean, None, len(values) + len(ours), percent) if measured else None
    return (split, mode, words(weights), metric_label(metric), logged, measured, shown)


def _on_validation(key: _Key, now: ExperimentResults) -> list[float]:
    """What our own trainings reached on validation, known without an evaluation: the mean over folds, as then."""
    if key != ("val", SEPARATE, TRAINED, now.primary_metric):
        return []
    ours = (trial for trial in now.trials if trial.kind == "reproduction" and trial.state == "done")
    return [trial.mean for trial in ours if trial.mean is not None]


def _estimate(values: Sequence[float], percent: bool) -> Estimate:
    interval = mean_interval(values, CONFIDENCE)
    return Estimate(interval.mean, interval.half_width, interval.n, percent)


def _order(value: LoggedValue) -> tuple[object, ...]:
    def place(text: str, order: Sequence[str]) -> int:
        return order.index(text) if text in order else len(order)

    split, weights = place(value.split, _SPLITS), -place(value.weights, WEIGHTS)
    return split, value.split, place(value.mode, MODES), weights, value.metric
