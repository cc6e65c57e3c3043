"""Figures of one experiment, drawn without a display: the search, the best trial's curves, slices of the space."""

from __future__ import annotations

import io
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from meta_logs.formatting import metric_label, short_names
from meta_logs.results import ExperimentResults
from powerbench.jobs import TRAINED, UNTRAINED_TRUNK_AND_EMBEDDER
from powerbench.store.rows import TrialRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, RED = "#1f5fa8", "#d9731a", "#8a8a8a", "#b3261e"
_LOG = "LOG_BAYESIAN"


def figures_of(results: ExperimentResults) -> dict[str, bytes]:
    """All figures there is data for, as PNG by name."""
    drawn = {"optimization": trace(results), "learning_curves": learning_curves(results), "slices": slices(results)}
    return {name: png(figure) for name, figure in drawn.items() if figure is not None}


def trace(results: ExperimentResults) -> Figure | None:
    """The observed mean of every search trial with its SEM over folds, and the best so far."""
    trials = _measured(results)
    if not trials:
        return None
    figure, (axes,) = new_figure(1, 1, 7.2, 3.8)
    numbers = [trial.number for trial in trials]
    means = [_mean(trial) for trial in trials]
    sems = [trial.sem or 0.0 for trial in trials]
    axes.errorbar(numbers, means, sems, fmt="o", ms=4, lw=0.8, color=GREY, label="trial (mean ± SEM over folds)")
    best = [max(means[: i + 1]) for i in range(len(means))]
    axes.step(numbers, best, where="post", color=BLUE, lw=1.8, label="best so far")
    if results.best is not None:
        axes.plot(results.best.number, _mean(results.best), "*", ms=13, color=ORANGE, label="chosen", zorder=5)
    failed = [trial.number for trial in results.trials if trial.kind == "search" and trial.state == "failed"]
    if failed:
        low = min(mean - sem for mean, sem in zip(means, sems, strict=True))
        axes.plot(failed, [low] * len(failed), "x", color=RED, ms=6, label="failed")
    axes.set(xlabel="search trial", ylabel=_label(results))
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8, frameon=False)
    return figure


def learning_curves(results: ExperimentResults) -> Figure | None:
    """Of the chosen trial: validation metric of each fold with the chosen epoch marked, and mean losses."""
    if results.shown is None:
        return None
    best_epochs = {run.fold: run.best_epoch for run in results.runs[results.shown.id]}
    figure, (left, right) = new_figure(1, 2, 9.6, 3.6)
    losses: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for place, (fold, (measured, lost)) in enumerate(sorted(results.curves.items())):
        points = {
            row.epoch: row.value
            for row in measured
            if row.split == "val"
            and row.metric == results.primary_metric
            and row.weights in (TRAINED, UNTRAINED_TRUNK_AND_EMBEDDER)
        }
        epochs = sorted(points)
        color = f"C{place % 10}"
        left.plot(epochs, [points[epoch] for epoch in epochs], "-", lw=1.2, color=color, label=f"fold {fold}")
        chosen = best_epochs.get(fold)
        if chosen in points:
            left.plot(chosen, points[chosen], "o", ms=6, color=color)
        for row in lost:
            losses[row.name][row.epoch].append(row.value)
    for name, by_epoch in losses.items():
        epochs = sorted(by_epoch)
        right.plot(epochs, [sum(by_epoch[e]) / len(by_epoch[e]) for e in epochs], lw=1.4, label=_plain(name))
    left.set(xlabel="epoch (● chosen)", ylabel=_label(results))
    right.set(xlabel="epoch", ylabel="loss (mean over folds)")
    for axes in (left, right):
        axes.locator_params(axis="x", integer=True)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.suptitle(f"{results.shown.kind} trial {results.shown.number}", fontsize=10)
    return figure


def slices(results: ExperimentResults) -> Figure | None:
    """The mean of every search trial against each parameter; later trials are darker, the chosen one is a star."""
    trials = _measured(results)
    names = short_names(dict.fromkeys(path for trial in trials for path in trial.parameters))
    if not names:
        return None
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure, panels = new_figure(rows, columns, 3.4 * columns, 3.0 * rows)
    logarithmic = log_parameters(results.experiment.config)
    for axes, (path, name) in zip(panels, names.items(), strict=False):
        here = [trial for trial in trials if path in trial.parameters]
        numeric = all(_is_number(trial.parameters[path]) for trial in here)
        _slice(axes, here, path, numeric)
        if results.best is not None and path in results.best.parameters:
            chosen = _position(results.best.parameters[path], numeric)
            axes.plot(chosen, _mean(results.best), "*", ms=13, color=ORANGE, zorder=5)
        if numeric and path in logarithmic:
            axes.set_xscale("log")
        axes.set(xlabel=_plain(name), ylabel=_label(results) if axes in panels[::columns] else "")
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    return figure


def _slice(axes: Axes, trials: list[TrialRow], path: str, numeric: bool) -> None:
    values = [_position(trial.parameters[path], numeric) for trial in trials]
    means, sems = [_mean(trial) for trial in trials], [trial.sem or 0.0 for trial in trials]
    axes.errorbar(values, means, sems, fmt="none", ecolor=GREY, elinewidth=0.6, alpha=0.5)
    shades = [trial.number for trial in trials]
    look: dict[str, Any] = {"cmap": "Blues", "vmin": -len(trials) / 2, "s": 22, "edgecolors": BLUE, "linewidths": 0.5}
    axes.scatter(values, means, c=shades, zorder=3, **look)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _position(value: Any, numeric: bool) -> Any:
    """Numbers by their value; choices, of which one is no number, by their names."""
    return value if numeric else _plain(str(value))


def log_parameters(config: Mapping[str, Any]) -> set[str]:
    """The slash paths of a stored config's parameters that were searched on a log scale."""
    return {path for category in config.values() if isinstance(category, Mapping) for path in _logs(category, ())}


def _logs(node: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    for key, value in node.items():
        match = re.fullmatch(r"(.*?)~(\w+)~\d*", key)
        name, operator = match.groups() if match else (key, "")
        if operator == _LOG:
            yield "/".join((*above, name))
        elif isinstance(value, Mapping):
            yield from _logs(value, (*above, name))


def _measured(results: ExperimentResults) -> list[TrialRow]:
    """The search trials that have a mean."""
    return [trial for trial in results.trials if trial.kind == "search" and trial.mean is not None]


def _mean(trial: TrialRow) -> float:
    assert trial.mean is not None
    return trial.mean


def _label(results: ExperimentResults) -> str:
    return f"validation {_plain(metric_label(results.primary_metric))}"


def _plain(text: str) -> str:
    """Text as it is: a dollar sign would start a formula."""
    return text.replace("$", r"\$")


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """An empty figure of the house's look, in inches, and its panels row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.grid(alpha=0.25, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def png(figure: Figure) -> bytes:
    """A figure as PNG, the same bytes each time."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
