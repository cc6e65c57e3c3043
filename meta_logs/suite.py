"""Several methods under one protocol in one table, and the comparison of every pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from meta_logs.environments import environment_notes
from meta_logs.formatting import Estimate, Value, is_fraction, metric_label, parameters_text, words
from meta_logs.papers import loss_of, write_papers
from meta_logs.results import ExperimentResults, results_of
from meta_logs.statistics.compare import Comparison, compare
from meta_logs.statistics.letters import groups
from meta_logs.table import Table
from powerbench.errors import UserError
from powerbench.jobs import MODES, SEPARATE, UNTRAINED_TRUNK
from powerbench.plan import Budget
from powerbench.protocol import refuse_unfair
from powerbench.store.store import Store

METRICS = ("map_at_r", "precision_at_1", "r_precision")
GROUPED_BY = "map_at_r"


def suite_table(
    results: Mapping[str, ExperimentResults],
    *,
    title: str,
    planned: Mapping[str, Budget] | None = None,
    parameters: bool = True,
) -> Table:
    """One row a method, and one for the untrained trunk: test metrics, groups, cost, best parameters if wanted.

    ``planned`` names all methods in order, those that have not been started too, with the budgets to count against
    (otherwise each experiment's own). Raises :class:`UserError` naming the differing keys if the protocols differ.
    """
    refuse_unfair({method: item.protocol for method, item in results.items()})
    refuse_mixed_samples(results)
    confidence = confidence_of(results)
    letters = groups_of(results, confidence=confidence)
    marks = {method: "; ".join(item.marks) for method, item in results.items()}
    columns = ["Method", *(f"{metric_label(m)} {mode[:3]}." for mode in MODES for m in METRICS), "Group"]
    columns += ["Trials", "Repr.", "Fold runs", "Hours"]
    columns += [*(["Best parameters"] if parameters else []), *(["Note"] if any(marks.values()) else [])]
    rows = [_baseline(results, columns)] if _has_baseline(results) else []
    budgets = planned or {method: Budget.from_plain(item.experiment.budget) for method, item in results.items()}
    for method, budget in budgets.items():
        item = results.get(method)
        row: list[Value] = [method, *(_estimates(item) if item else [None] * len(MODES) * len(METRICS))]
        row += [letters.get(method, ""), *_cost(item, budget)]
        row += [_parameters(item) if item else ""] if parameters else []
        row += [marks.get(method, "")] if any(marks.values()) else []
        rows.append(tuple(row))
    absent = [method for method in budgets if method not in results]
    notes = [*environment_notes(results), *([f"Not started: {', '.join(absent)}."] if absent else [])]
    return Table(title, tuple(columns), tuple(rows), (*_notes(results, confidence), *notes))


def confidence_of(results: Mapping[str, ExperimentResults]) -> float:
    """The confidence of all intervals. Raises :class:`UserError` if they differ."""
    levels = {row.confidence for item in results.values() for row in item.summaries}
    if len(levels) > 1:
        raise UserError(
            f"the intervals have different confidence levels ({', '.join(map(str, sorted(levels)))}): give all "
            "experiments the same `confidence`."
        )
    return levels.pop() if levels else 0.95


def refuse_mixed_samples(results: Mapping[str, ExperimentResults]) -> None:
    """Raise a :class:`UserError` if only some means include the trial that was selected, which flatters them."""
    with_best = [name for name, item in results.items() if any(row.sample == "include_best" for row in item.summaries)]
    without = [name for name, item in results.items() if any(row.sample == "reproductions" for row in item.summaries)]
    if with_best and without:
        raise UserError(
            f"the means of {', '.join(with_best)} include the selected trial, those of {', '.join(without)} do not: "
            "give all experiments the same `include_best`."
        )


def _cost(item: ExperimentResults | None, budget: Budget) -> list[Value]:
    """Search trials and reproductions done of those planned, fold runs, and their summed hours."""
    trials, reproductions = (item.count("search"), item.count("reproduction")) if item else (0, 0)
    counts: list[Value] = [f"{trials}/{budget.trials}", f"{reproductions}/{len(budget.reproductions)}"]
    return [*counts, *((item.fold_runs, item.hours) if item else (0, 0.0))]


def _parameters(item: ExperimentResults) -> str:
    return parameters_text(item.shown.parameters) if item.shown else ""


def _estimates(item: ExperimentResults, weights: str = "trained") -> list[Value]:
    return [_estimate(item, mode, metric, weights) for mode in MODES for metric in METRICS]


def _estimate(item: ExperimentResults, mode: str, metric: str, weights: str) -> Estimate | None:
    row = item.summary("test", mode, metric, weights)
    return Estimate(row.mean, row.half_width, row.n, is_fraction(metric)) if row else None


def _has_baseline(results: Mapping[str, ExperimentResults]) -> bool:
    return any(item.summary("test", SEPARATE, GROUPED_BY, UNTRAINED_TRUNK) for item in results.values())


def _baseline(results: Mapping[str, ExperimentResults], columns: list[str]) -> tuple[Value, ...]:
    """The untrained trunk, which is the same whatever the method."""
    item = next(i for i in results.values() if i.summary("test", SEPARATE, GROUPED_BY, UNTRAINED_TRUNK))
    row: list[Value] = [f"({words(UNTRAINED_TRUNK)})", *_estimates(item, UNTRAINED_TRUNK)]
    return (*row, *(None for _ in columns[len(row) :]))


def _notes(results: Mapping[str, ExperimentResults], confidence: float) -> tuple[str, ...]:
    item = next(iter(results.values()))
    return (
        f"Test split, percent: mean ± half width of the {confidence:.0%} interval (Student t) over reproductions (n). "
        "sep.: the folds' models one by one; con.: their embeddings joined.",
        f"Group: methods that share a letter cannot be told apart by {metric_label(GROUPED_BY)} sep. "
        "(paired t-tests, Holm over all pairs).",
        f"Trunk weights: {item.protocol.get('trunk_weights', 'unknown')}. "
        f"Protocol fingerprint: {item.experiment.protocol_fingerprint}.",
    )


def groups_of(
    results: Mapping[str, ExperimentResults],
    *,
    mode: str = SEPARATE,
    metric: str = GROUPED_BY,
    confidence: float = 0.95,
) -> dict[str, str]:
    """The letters of the methods that have two or more reproductions on test."""
    values = {method: item.values("test", mode, metric) for method, item in results.items()}
    values = {method: found for method, found in values.items() if len(found) >= 2}
    if len(values) < 2:
        return {}
    best_first = sorted(values, key=lambda method: -sum(values[method].values()) / len(values[method]))
    held = [(pair.first, pair.second) for pair in compare(values, confidence) if pair.holds]
    return groups(best_first, held)


def comparison_table(
    results: Mapping[str, ExperimentResults],
    *,
    mode: str = SEPARATE,
    metric: str = GROUPED_BY,
    confidence: float = 0.95,
) -> Table:
    """Every pair of methods on test: difference, interval, corrected p-value, and whether the difference holds.

    Raises :class:`UserError` naming the differing keys if the protocols differ.
    """
    refuse_unfair({method: item.protocol for method, item in results.items()})
    pairs = compare({method: item.values("test", mode, metric) for method, item in results.items()}, confidence)
    percent = is_fraction(metric)
    columns = ("First", "Second", "Difference", "p (Holm)", "p", "p (Wilcoxon)", "Verdict")
    rows = tuple(
        (
            pair.first,
            pair.second,
            _difference(pair, percent),
            pair.p_holm,
            pair.p,
            pair.p_wilcoxon,
            _verdict(pair),
        )
        for pair in pairs
    )
    notes = (
        f"First minus second: mean ± half width of the {confidence:.0%} paired t interval of this pair alone (n). "
        "A difference holds if its p-value, corrected for all pairs (Holm), is below "
        f"{1 - confidence:.3g}.",
    )
    return Table(f"{metric_label(metric)}, {mode}, test: every pair", columns, rows, notes)


def _difference(pair: Comparison, percent: bool) -> Estimate | None:
    if pair.difference is None:
        return None
    half = None if pair.high is None else pair.high - pair.difference
    return Estimate(pair.difference, half, pair.n, percent)


def _verdict(pair: Comparison) -> str:
    if pair.p is None or pair.difference is None:
        return "too few reproductions to tell"
    if not pair.holds:
        return "cannot be told apart"
    return f"{pair.first if pair.difference > 0 else pair.second} is better"


def write_suite(
    store: Store,
    experiments: Mapping[str, str],
    folder: Path,
    *,
    title: str,
    planned: Mapping[str, Budget] | None = None,
) -> None:
    """Write ``table.csv``, ``.md``, ``.tex`` and ``pairs_<mode>.*`` for methods given as {method: experiment name}.

    And ``papers.*`` for a method whose loss papers' numbers are known for (see :mod:`meta_logs.papers`).
    """
    results = _started(store, experiments)
    suite_table(results, title=title, planned=planned).write(folder, "table")
    confidence = confidence_of(results)
    for mode in MODES:
        comparison_table(results, mode=mode, confidence=confidence).write(folder, f"pairs_{mode}")
    reported_about = next((item.experiment for item in results.values() if loss_of(item.experiment)), None)
    if reported_about is not None:
        write_papers(store, reported_about, folder)


def print_suite(
    store: Store,
    experiments: Mapping[str, str],
    say: Callable[[str], object],
    *,
    title: str,
    planned: Mapping[str, Budget] | None = None,
) -> None:
    """Print the table of methods given as {method: experiment name}, and below it their best parameters."""
    results = _started(store, experiments)
    say(suite_table(results, title=title, planned=planned, parameters=False).text)
    if any(_parameters(item) for item in results.values()):
        say("Best parameters")
        for method, item in results.items():
            say(f"  {method}: {_parameters(item) or 'none yet'}")


def _started(store: Store, experiments: Mapping[str, str]) -> dict[str, ExperimentResults]:
    """The results of the methods whose experiment exists. Raises :class:`UserError` if none does."""
    known = {row.name for row in store.experiments()}
    started = {method: results_of(store, name) for method, name in experiments.items() if name in known}
    if not started:
        raise UserError(f"None of {', '.join(experiments.values())} has been started.")
    return started
