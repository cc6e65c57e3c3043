"""The pictures of a search, for papers: trace, slices, parallel coordinates, importance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from meta_logs.drawing import BLUE, GREY, ORANGE, RED, SEQUENCE, new_figure, plain_text
from meta_logs.optimization.axes import Axis
from meta_logs.optimization.search import Search

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW_LABELS = 6
_MODEL = "model through the chosen trial (95 %)"


def trace(search: Search) -> Figure | None:
    """Every trial with its standard error over folds, and the best so far with its interval over folds."""
    if not search.trials:
        return None
    figure, (axes,) = new_figure(1, 1, 7.2, 3.8)
    numbers, best = search.numbers, search.means[search.leaders]
    axes.errorbar(numbers, search.means, search.sems, fmt="o", ms=4, lw=0.8, color=GREY, label="trial ± SEM over folds")
    band = search.best_interval()
    if band is not None:
        axes.fill_between(numbers, *band, step="post", color=BLUE, alpha=0.15, lw=0, label="95 % interval over folds")
    axes.step(numbers, best, where="post", color=BLUE, lw=1.8, label="best so far")
    if search.chosen is not None:
        place = (numbers[search.chosen], search.means[search.chosen])
        axes.plot(*place, "*", ms=13, color=ORANGE, mec="white", label="chosen", zorder=5)
    if search.failed:
        low = float((search.means - search.sems).min())
        axes.plot([trial.number for trial in search.failed], [low] * len(search.failed), "x", color=RED, label="failed")
    last = max(trial.number for trial in (*search.trials, *search.failed))
    axes.set(xlabel="search trial", ylabel=plain_text(search.label), xlim=(-0.7, last + 0.7))
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, fontsize=8, frameon=False, columnspacing=1.2)
    return figure


def slices(search: Search) -> Figure | None:
    """Along each parameter: the trials (later ones darker), and the model with the others as in the chosen trial."""
    if not search.trials or not search.axes:
        return None
    columns = min(3, len(search.axes))
    rows = math.ceil(len(search.axes) / columns)
    figure, panels = new_figure(rows, columns, 3.4 * columns, 3.0 * rows)
    for number, (axes, axis) in enumerate(zip(panels, search.axes, strict=False)):
        _model_line(axes, search, axis)
        _trials_along(axes, search, axis)
        scale_of(axes, axis, "x")
        axes.set(ylabel=plain_text(search.label) if number % columns == 0 else "")
    for axes in panels[len(search.axes) :]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2 if columns == 1 else 5, fontsize=8, frameon=False)
    return figure


def _model_line(axes: Axes, search: Search, axis: Axis) -> None:
    line = search.line(axis)
    if line is None:
        return
    places, mean, deviation = line
    where, low, high = axis.at(places), mean - 1.96 * deviation, mean + 1.96 * deviation
    if axis.values:
        half = 1.96 * deviation
        axes.errorbar(where, mean, half, fmt="_", ms=16, color=BLUE, lw=5, alpha=0.35, label=_MODEL)
    else:
        axes.fill_between(where, low, high, color=BLUE, alpha=0.15, lw=0)
        axes.plot(where, mean, color=BLUE, lw=1.4, label=_MODEL)


def _trials_along(axes: Axes, search: Search, axis: Axis) -> None:
    where = axis.at(search.places(axis, search.trials))
    axes.errorbar(where, search.means, search.sems, fmt="none", ecolor=GREY, elinewidth=0.6, alpha=0.5)
    first = -len(search.trials) / 2
    look: dict[str, Any] = {"cmap": SEQUENCE, "vmin": first, "edgecolors": BLUE, "linewidths": 0.5}
    axes.scatter(where, search.means, s=22, c=search.numbers, zorder=3, label="trial", **look)
    if search.chosen is not None:
        here = (where[search.chosen], search.means[search.chosen])
        axes.plot(*here, "*", ms=13, color=ORANGE, mec="white", zorder=5, ls="none", label="chosen")
    if search.failed:
        failed = axis.at(search.places(axis, search.failed))
        low = np.full(len(failed), (search.means - search.sems).min())
        axes.plot(failed, low, "x", ms=5, color=RED, zorder=4, ls="none", label="failed")


def parallel_coordinates(search: Search) -> Figure | None:
    """Each trial as a line through its parameters' values to its mean; darker is better."""
    if len(search.axes) < 2 or not search.trials:
        return None
    count = len(search.axes)
    figure, (axes,) = new_figure(1, 1, 1.6 * count + 2.4, 4.0)
    low, high = float(search.means.min()), float(search.means.max())
    span = (high - low) or 1.0
    ends = [max(len(axis.values) - 1, 1) for axis in search.axes]
    heights = np.column_stack([search.points / ends, (search.means - low) / span])
    shades = 0.2 + 0.8 * (search.means - low) / span
    from matplotlib import colormaps

    for place in np.argsort(search.means, kind="stable"):
        axes.plot(range(count + 1), heights[place], color=colormaps[SEQUENCE](shades[place]), lw=1.1)
    if search.chosen is not None:
        axes.plot(range(count + 1), heights[search.chosen], color=ORANGE, lw=2.4, label="chosen")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), fontsize=8, frameon=False)
    for number, axis in enumerate(search.axes):
        _upright(axes, number, *_marks(axis))
    _upright(axes, count, [0.0, 0.5, 1.0], [f"{low + part * span:.4g}" for part in (0, 0.5, 1)])
    names = [*(axis.title for axis in search.axes), search.label]
    axes.set_xticks(range(count + 1), [_wrapped(name) for name in names], fontsize=9)
    axes.set(yticks=[], xlim=(-0.15, count + 0.45))
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    return figure


def _upright(axes: Axes, number: int, heights: list[float], labels: list[str]) -> None:
    """One axis of parallel coordinates, with its marks."""
    axes.plot([number, number], [0, 1], color="black", lw=0.9, zorder=3)
    for height, label in zip(heights, labels, strict=True):
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.6}
        at = (number + 0.05, height)
        axes.annotate(plain_text(label), at, fontsize=8, va="center", bbox=box, zorder=4, annotation_clip=False)


def _marks(axis: Axis) -> tuple[list[float], list[str]]:
    """Heights in [0, 1] on an axis and what stands there."""
    if not axis.values:
        places = np.array([0.0, 0.5, 1.0])
        return list(places), [f"{value:.3g}" for value in axis.at(places)]
    last = max(len(axis.values) - 1, 1)
    kept = _some(len(axis.values))
    return [place / last for place in kept], [axis.labels[place] for place in kept]


def importance(search: Search) -> Figure | None:
    """How much of the model's variation each parameter explains, alone and with its interactions."""
    found = search.importances
    if not found or search.surrogate is None:
        return None
    figure, (axes,) = new_figure(1, 1, 6.4, 1.3 + 0.5 * len(found))
    where = np.arange(len(found))[::-1]
    total, alone = (
        [100 * share for share in shares] for shares in zip(*((i.total, i.alone) for i in found), strict=True)
    )
    axes.barh(where, total, height=0.62, color=BLUE, alpha=0.35, label="with interactions")
    axes.barh(where, alone, height=0.36, color=BLUE, label="alone")
    for height, share in zip(where, total, strict=True):
        axes.annotate(f"{share:.0f} %", (share, height), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(where, [_wrapped(one.axis.name) for one in found])
    fit = f"(leave-one-out R² of the model: {search.surrogate.explained:.2f})"
    axes.set(xlabel=f"share of the model's variance over the space (%)\n{fit}", xlim=(0, max(*total, 100) * 1.08))
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, frameon=False)
    return figure


def scale_of(axes: Axes, axis: Axis, side: Literal["x", "y"], named: bool = True) -> None:
    """The parameter's scale, marks and name on one side of a panel."""
    one = axes.xaxis if side == "x" else axes.yaxis
    if axis.values:
        kept = _some(len(axis.values))
        one.set_ticks(kept, [plain_text(axis.labels[place]) for place in kept])
        (axes.set_xlim if side == "x" else axes.set_ylim)(-0.5, len(axis.values) - 0.5)
        if side == "x" and max(len(axis.labels[place]) for place in kept) * len(kept) > 24:
            axes.tick_params(axis="x", rotation=30)
    elif axis.log:
        (axes.set_xscale if side == "x" else axes.set_yscale)("log")
    elif axis.whole:
        axes.locator_params(axis=side, integer=True)
    if not named:
        axes.tick_params(axis=side, labelbottom=side != "x", labelleft=side != "y")
    one.set_label_text(_wrapped(axis.title) if named else "")


def _some(count: int) -> list[int]:
    """All places of a short list, a few of a long one."""
    step = math.ceil(count / _FEW_LABELS)
    return list(range(0, count, step))


def _wrapped(name: str) -> str:
    """A name as text, a long path broken at its slashes."""
    return plain_text(name if len(name) <= 18 else name.replace("/", "/\n").replace(" (", "\n("))
