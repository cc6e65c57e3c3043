"""The pictures of a search for the browser, as what plotly.js draws: plain data and layout.

Plotly reads all text as markup, so names are escaped here; the page escapes the whole once more.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from meta_logs.drawing import BLUE, GREY, ORANGE, RED
from meta_logs.formatting import parameters_text, plain
from meta_logs.optimization.axes import Axis
from meta_logs.optimization.search import Search
from powerbench.store.rows import TrialRow

Plot = dict[str, Any]
"""``name`` (plain text, for the list to choose from), ``data``, ``layout``."""

_SCALE = [[0, "#f7fbff"], [0.25, "#c6dbef"], [0.5, "#6baed6"], [0.75, "#2171b5"], [1, "#08306b"]]
_ON_WHITE = [[0, "#c6dbef"], [0.5, "#4292c6"], [1, "#08306b"]]
_BAND = "rgba(31, 95, 168, 0.15)"


def trace(search: Search) -> list[Plot]:
    """Every trial, and the best so far with its interval over folds."""
    if not search.trials:
        return []
    best = numbers(search.means[search.leaders])
    data = [_trials(search, search.numbers)]
    band = search.best_interval()
    if band is not None:
        data += _band(search.numbers, *band, "95 % interval over folds", shape="hv")
    line = {"color": BLUE, "shape": "hv", "width": 2}
    data.append({"x": search.numbers, "y": best, "mode": "lines", "name": "best so far", "line": line})
    data += _chosen(search, search.numbers) + _failed(search, [trial.number for trial in search.failed])
    return [_plot("trace", data, {"title": "search trial"}, {"title": _text(search.label)})]


def slices(search: Search) -> list[Plot]:
    """Along each parameter: the trials, and the model with the others as in the chosen trial."""
    return [_slice(search, axis) for axis in search.axes] if search.trials else []


def _slice(search: Search, axis: Axis) -> Plot:
    where, data = numbers(axis.at(search.places(axis, search.trials))), []
    line = search.line(axis)
    if line is not None:
        places, mean, deviation = line
        along, half = numbers(axis.at(places)), 1.96 * deviation
        if axis.values:
            error = {"array": numbers(half), "color": BLUE, "thickness": 3}
            look = {
                "mode": "markers",
                "marker": {"symbol": "line-ew-open", "size": 18, "color": BLUE},
                "error_y": error,
            }
            data.append({"x": along, "y": numbers(mean), "name": "model (95 %)", "hoverinfo": "y", **look})
        else:
            data += _band(along, mean - half, mean + half, "95 % of the model")
            data.append({"x": along, "y": numbers(mean), "mode": "lines", "name": "model", "line": {"color": BLUE}})
    data += [_trials(search, where), *_chosen(search, where)]
    data += _failed(search, numbers(axis.at(search.places(axis, search.failed))))
    return _plot(axis.name, data, _axis(axis), {"title": _text(search.label)}, showlegend=False)


def contours(search: Search) -> list[Plot]:
    """For each two parameters the model's mean, the others as in the chosen trial."""
    plots = []
    for first, second in search.pairs:
        plane = search.plane(first, second)
        if plane is None:
            return []
        across, up, mean = plane
        bar = {"title": {"text": f"model of the<br>{_text(search.label)}", "side": "right"}}
        grid = {"x": numbers(first.at(across)), "y": numbers(second.at(up)), "z": [numbers(row) for row in mean]}
        look: Plot = {"type": "heatmap"}
        if not first.values and not second.values:
            look = {"type": "contour", "line": {"color": "white", "width": 0.5}, "contours": {"coloring": "heatmap"}}
        data = [{**grid, **look, "colorscale": _SCALE, "colorbar": bar, "hoverinfo": "x+y+z", "showlegend": False}]
        at = [numbers(axis.at(search.places(axis, search.trials))) for axis in (first, second)]
        look = {"color": "black", "size": 7, "line": {"color": "white", "width": 1}}
        data.append({"x": at[0], "y": at[1], **_points(search.trials, search), "marker": look, "name": "trial"})
        if search.failed:
            at_failed = [numbers(axis.at(search.places(axis, search.failed))) for axis in (first, second)]
            data += _failed(search, *at_failed)
        if search.chosen is not None:
            data += _chosen(search, *at)
        data = [{key: value for key, value in trace.items() if key != "error_y"} for trace in data]
        plots.append(_plot(f"{first.name} and {second.name}", data, _axis(first), _axis(second)))
    return plots


def parallel_coordinates(search: Search) -> list[Plot]:
    """Each trial as a line through its parameters' values to its mean."""
    if len(search.axes) < 2 or not search.trials:
        return []
    dimensions: list[dict[str, Any]] = []
    for axis in search.axes:
        places, marks = search.places(axis, search.trials), axis.grid(5)
        labels = axis.labels if axis.values else [f"{value:.3g}" for value in axis.at(marks)]
        ends = numbers([np.nanmin([*places, marks[0]]), np.nanmax([*places, marks[-1]])])
        shown = {"tickvals": numbers(marks), "ticktext": labels, "range": ends}  # these marks are plain text
        dimensions.append({"label": _text(axis.title), "values": numbers(places), **shown})
    dimensions.append({"label": _text(search.label), "values": numbers(search.means)})
    line = {"color": numbers(search.means), "colorscale": _ON_WHITE}
    data = [{"type": "parcoords", "dimensions": dimensions, "line": line, "labelangle": -12}]
    return [{"name": "parallel coordinates", "data": data, "layout": {"margin": {"t": 90, "b": 30, "l": 110, "r": 90}}}]


def importance(search: Search) -> list[Plot]:
    """How much of the model's variation each parameter explains, alone and with its interactions."""
    found = search.importances[::-1]
    if not found or search.surrogate is None:
        return []
    names = [_text(one.axis.name) for one in found]
    shares = {"with interactions": [one.total for one in found], "alone": [one.alone for one in found]}
    colours = {"with interactions": "rgba(31, 95, 168, 0.35)", "alone": BLUE}
    data = [
        {"type": "bar", "orientation": "h", "y": names, "x": numbers(100 * np.array(share)), "name": name,
         "marker": {"color": colours[name]}, "width": 0.62 if name != "alone" else 0.36, "hoverinfo": "x+y+name"}
        for name, share in shares.items()
    ]  # fmt: skip
    title = f"share of the model's variance over the space (%); leave-one-out R² {search.surrogate.explained:.2f}"
    layout = {"barmode": "overlay", "height": 160 + 40 * len(found)}
    return [_plot("importance", data, {"title": title, "rangemode": "tozero"}, {"automargin": True}, **layout)]


def numbers(values: Iterable[Any]) -> list[float | None]:
    """Plain numbers of five digits; what is not finite becomes a gap."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]


def _trials(search: Search, where: Sequence[Any]) -> Plot:
    error = {"array": numbers(search.sems), "color": GREY, "thickness": 1, "width": 0}
    marker = {"color": GREY, "size": 7}
    shown = _points(search.trials, search)
    return {"x": where, "y": numbers(search.means), **shown, "name": "trial ± SEM", "marker": marker, "error_y": error}


def _chosen(search: Search, where: Sequence[Any], up: Sequence[Any] | None = None) -> list[Plot]:
    if search.chosen is None:
        return []
    place, trial = search.chosen, search.trials[search.chosen]
    height = numbers(search.means)[place] if up is None else up[place]
    marker = {"symbol": "star", "size": 15, "color": ORANGE, "line": {"color": "white", "width": 1}}
    return [{"x": [where[place]], "y": [height], **_points((trial,), search), "marker": marker, "name": "chosen"}]


def _failed(search: Search, where: Sequence[Any], up: Sequence[Any] | None = None) -> list[Plot]:
    if not search.failed:
        return []
    low = float((search.means - search.sems).min())
    heights = up if up is not None else numbers([low] * len(search.failed))
    marker = {"symbol": "x", "size": 8, "color": RED, "line": {"color": "white", "width": 1}}
    return [{"x": where, "y": heights, **_points(search.failed, search), "marker": marker, "name": "failed"}]


def _points(trials: Sequence[TrialRow], search: Search) -> Plot:
    """Markers that say which trial they are."""
    return {"mode": "markers", "hoverinfo": "text", "text": [_told(trial, search) for trial in trials]}


def _told(trial: TrialRow, search: Search) -> str:
    found = f"{trial.error_kind}: {trial.error}" if trial.mean is None else plain(trial.mean * search.scale)
    if trial.mean is not None and trial.sem is not None:
        found += f" ± {plain(trial.sem * search.scale)}"
    lines = [f"trial {trial.number}: {found[:200]}", *parameters_text(trial.parameters).split(", ")]
    return "<br>".join(map(_text, lines))


def _band(where: Sequence[Any], low: Any, high: Any, name: str, shape: str = "linear") -> list[Plot]:
    edge = {"x": where, "mode": "lines", "line": {"width": 0, "shape": shape}, "hoverinfo": "skip"}
    lower = {**edge, "y": numbers(low), "showlegend": False}
    return [lower, {**edge, "y": numbers(high), "fill": "tonexty", "fillcolor": _BAND, "name": name}]


def _axis(axis: Axis) -> Plot:
    if axis.values:
        places = list(range(len(axis.values)))
        return {"title": _text(axis.name), "tickvals": places, "ticktext": [_text(label) for label in axis.labels]}
    scale = {"type": "log", "exponentformat": "power"} if axis.log else {"type": "linear"}
    return {"title": _text(axis.title), **scale}


def _plot(name: str, data: list[Plot], across: Plot, up: Plot, **layout: Any) -> Plot:
    sides = {
        side: {
            "gridcolor": "#e6e6e6",
            "zeroline": False,
            "automargin": True,
            **given,
            "title": {"text": given.get("title")},
        }
        for side, given in (("xaxis", across), ("yaxis", up))
    }
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    look = {"hovermode": "closest", "plot_bgcolor": "white", "legend": legend, "margin": {"t": 50, "r": 20}}
    return {"name": name, "data": data, "layout": {**look, **sides, **layout}}


def _text(text: str) -> str:
    return html.escape(text, quote=False)
