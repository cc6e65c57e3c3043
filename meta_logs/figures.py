"""Figures of one experiment: its search, and the chosen trial's curves."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from meta_logs.drawing import new_figure, plain_text, png
from meta_logs.optimization.contours import contours
from meta_logs.optimization.figures import importance, parallel_coordinates, slices, trace
from meta_logs.optimization.search import Search, search_of
from meta_logs.results import ExperimentResults
from powerbench.jobs import TRAINED, UNTRAINED_TRUNK_AND_EMBEDDER

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures_of(results: ExperimentResults, search: Search) -> dict[str, bytes]:
    """All figures there is data for, as PNG by name."""
    drawn = {
        "optimization": trace(search),
        "learning_curves": learning_curves(results),
        "slices": slices(search),
        "contours": contours(search),
        "parallel_coordinates": parallel_coordinates(search),
        "importance": importance(search),
    }
    return {name: png(figure) for name, figure in drawn.items() if figure is not None}


def learning_curves(results: ExperimentResults) -> Figure | None:
    """Of the chosen trial: validation metric of each fold with the chosen epoch marked, and mean losses."""
    if results.shown is None:
        return None
    best_epochs = {run.fold: run.best_epoch for run in results.runs[results.shown.id]}
    figure, (left, right) = new_figure(1, 2, 9.6, 3.6)
    scale = search_of(results).scale
    losses: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for place, (fold, (measured, lost)) in enumerate(sorted(results.curves.items())):
        points = {
            row.epoch: row.value * scale
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
        right.plot(epochs, [sum(by_epoch[e]) / len(by_epoch[e]) for e in epochs], lw=1.4, label=plain_text(name))
    left.set(xlabel="epoch (● chosen)", ylabel=search_of(results).label)
    right.set(xlabel="epoch", ylabel="loss (mean over folds)")
    for axes in (left, right):
        axes.locator_params(axis="x", integer=True)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.suptitle(f"{results.shown.kind} trial {results.shown.number}", fontsize=10)
    return figure
