"""Experiments side by side in one metric: the methods with their groups, best first, and every pair."""

from __future__ import annotations

from collections.abc import Mapping

from meta_logs.environments import environment_notes
from meta_logs.formatting import Estimate, is_fraction, metric_label
from meta_logs.results import ExperimentResults
from meta_logs.suite import comparison_table, confidence_of, groups_of, refuse_mixed_samples
from meta_logs.table import Table
from powerbench.errors import UserError, nearest
from powerbench.protocol import refuse_unfair
from powerbench.store.rows import SummaryRow


def tables_of(results: Mapping[str, ExperimentResults], *, mode: str, metric: str) -> dict[str, Table]:
    """The tables ``methods`` and ``pairs`` on the test split.

    Raises :class:`UserError` naming the differing keys if the protocols differ, for intervals of different kinds, and
    for a metric that was not evaluated for every experiment.
    """
    refuse_unfair({name: item.protocol for name, item in results.items()})
    refuse_mixed_samples(results)
    confidence = confidence_of(results)
    if metric == "recall_at_1" and not any(item.summary("test", mode, metric) for item in results.values()):
        metric = "precision_at_1"  # the same number, and the name under which it is usually measured
    rows = {name: _summary(name, item, mode, metric) for name, item in results.items()}
    best_first = dict(sorted(results.items(), key=lambda entry: -rows[entry[0]].mean))
    letters = groups_of(results, mode=mode, metric=metric, confidence=confidence)
    methods = _methods_table(best_first, rows, letters, confidence, mode, metric)
    pairs = comparison_table(best_first, mode=mode, metric=metric, confidence=confidence)
    return {"methods": methods, "pairs": pairs}


def _methods_table(
    results: Mapping[str, ExperimentResults],
    rows: Mapping[str, SummaryRow],
    letters: Mapping[str, str],
    confidence: float,
    mode: str,
    metric: str,
) -> Table:
    lines = tuple(
        (name, _estimate(rows[name], metric), letters.get(name, ""), _done(item, "search"), _done(item, "reproduction"))
        for name, item in results.items()
    )
    columns = ("Method", metric_label(metric), "Group", "Trials", "Repr.")
    notes = (
        f"Mean ± half width of the {confidence:.0%} interval (Student t) over n trainings (n).",
        "Group: methods that share a letter cannot be told apart (paired t-tests, Holm over all pairs).",
        *_warnings(results),
    )
    return Table(f"{metric_label(metric)}, {mode}, test: methods", columns, lines, notes)


def _summary(name: str, item: ExperimentResults, mode: str, metric: str) -> SummaryRow:
    row = item.summary("test", mode, metric)
    if row is not None:
        return row
    measured = sorted({row.metric for row in item.summaries if (row.split, row.mode) == ("test", mode)})
    if not measured:
        raise UserError(f"{name} has no {mode} results on test yet; finish it first.")
    raise UserError(
        f"{name} was not evaluated with {metric} ({mode}, test), only with {', '.join(measured)}; the config key "
        "evaluation_metrics chooses what --evaluate computes.",
        near=nearest(metric, measured),
    )


def _estimate(row: SummaryRow, metric: str) -> Estimate:
    return Estimate(row.mean, row.half_width, row.n, is_fraction(metric))


def _done(item: ExperimentResults, kind: str) -> str:
    budget = item.experiment.budget
    planned = budget.get("trials", 0) if kind == "search" else len(budget.get("reproductions", ()))
    return f"{item.count(kind)}/{planned}"


def _warnings(results: Mapping[str, ExperimentResults]) -> list[str]:
    """What a reader must know about the pairing, and about each experiment."""
    found = [f"{name}: {mark}." for name, item in results.items() for mark in item.marks]
    seeds = {name: item.experiment.seed for name, item in results.items()}
    if len(set(seeds.values())) > 1:
        listed = ", ".join(f"{name} {seed}" for name, seed in seeds.items())
        found.append(f"The experiments have different seeds ({listed}): reproductions of equal index share no seed.")
    return [*found, *environment_notes(results)]
