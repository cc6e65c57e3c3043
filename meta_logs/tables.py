"""The tables of one experiment: its results on every split, and all of its trials."""

from __future__ import annotations

from meta_logs.formatting import (
    Estimate,
    Value,
    is_fraction,
    measured,
    metric_label,
    parameters_text,
    short_names,
    words,
)
from meta_logs.results import ExperimentResults
from meta_logs.table import Table
from powerbench.jobs import MODES, WEIGHTS
from powerbench.store.rows import SummaryRow

SPLITS = ("test", "val", "train")


def results_table(results: ExperimentResults) -> Table:
    """Every summary: test first, separate before concatenated, untrained before trained."""
    rows = tuple(
        (
            row.split,
            row.mode,
            words(row.weights),
            metric_label(row.metric),
            Estimate(row.mean, row.half_width, row.n, is_fraction(row.metric)),
            measured(row.sem, row.metric),
        )
        for row in sorted(results.summaries, key=_order)
    )
    columns = ("Split", "Mode", "Weights", "Metric", "Mean", "SEM")
    return Table(f"{results.experiment.name}: results", columns, rows, results_notes(results))


def _order(row: SummaryRow) -> tuple[object, ...]:
    split = SPLITS.index(row.split) if row.split in SPLITS else len(SPLITS)
    weights = WEIGHTS.index(row.weights) if row.weights in WEIGHTS else len(WEIGHTS)
    return split, row.split, MODES.index(row.mode), weights, row.weights, row.metric


def results_notes(results: ExperimentResults) -> tuple[str, ...]:
    """What the numbers are, and what a reader must know about them."""
    confidence = next((row.confidence for row in results.summaries), 0.95)
    notes = [
        f"Mean ± half width of the {confidence:.0%} interval (Student t) over n trainings (n); fractions in percent. "
        "One training has no interval.",
        f"Trunk weights: {results.protocol.get('trunk_weights', 'unknown')}. Selection: "
        f"{results.protocol.get('selection', 'unknown')}. Protocol fingerprint: "
        f"{results.experiment.protocol_fingerprint}.",
    ]
    if results.shown is not None and results.shown.parameters:
        notes.append(f"Setting: {parameters_text(results.shown.parameters)}.")
    return (*notes, *(f"Note: {mark}." for mark in results.marks))


def trials_table(results: ExperimentResults) -> Table:
    """Every trial with its parameters, the primary metric on validation, and what went wrong."""
    names = short_names(dict.fromkeys(path for trial in results.trials for path in trial.parameters))
    columns = ("Kind", "Number", "State", "Mean", "SEM", *names.values(), "Error")
    rows: list[tuple[Value, ...]] = []
    for kind in ("search", "reproduction", "single"):
        for trial in results.trials:
            if trial.kind != kind:
                continue
            error = f"{trial.error_kind}: {trial.error}" if trial.error_kind else None
            shown = [measured(number, results.primary_metric) for number in (trial.mean, trial.sem)]
            values = [trial.parameters.get(path) for path in names]
            rows.append((kind, trial.number, trial.state, *shown, *values, error))
    metric = metric_label(results.primary_metric)
    note = f"Mean and SEM over folds of the best validation {metric}; fractions in percent."
    notes = (note, *(f"Note: {mark}." for mark in results.marks))
    return Table(f"{results.experiment.name}: trials", columns, tuple(rows), notes)
