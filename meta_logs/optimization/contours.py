"""The picture of a search's model over every two parameters, for papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meta_logs.drawing import ORANGE, RED, SEQUENCE, new_figure, plain_text
from meta_logs.optimization.axes import Axis
from meta_logs.optimization.figures import scale_of
from meta_logs.optimization.search import Search
from powerbench.store.rows import TrialRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def contours(search: Search) -> Figure | None:
    """For each two parameters the model's mean, the others as in the chosen trial; trials are dots."""
    planes = {pair: plane for pair in search.pairs if (plane := search.plane(*pair)) is not None}
    if not planes:
        return None
    drawn, size = search.drawn, len(search.drawn) - 1
    width = 4.8 if size == 1 else 2.7 * size + 1
    figure, panels = new_figure(size, size, width, 0.8 * width)
    everything = np.concatenate([mean.ravel() for _, _, mean in planes.values()])
    levels = np.linspace(everything.min(), everything.max(), 15)
    for axes in panels:
        axes.set_visible(False)
    for (first, second), (across, up, mean) in planes.items():
        row, column = drawn.index(second) - 1, drawn.index(first)
        axes = panels[row * size + column]
        axes.set_visible(True)
        axes.grid(visible=False)
        _plane(axes, (first, second), (first.at(across), second.at(up), mean), levels)
        _dots(axes, search, first, second)
        scale_of(axes, first, "x", named=row == size - 1)
        scale_of(axes, second, "y", named=column == 0)
    _colour_bar(figure, panels, levels, f"model of the {search.label}")
    handles, labels = next(axes for axes in panels if axes.get_visible()).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, fontsize=8, frameon=False)
    return figure


def _plane(axes: Axes, pair: tuple[Axis, Axis], plane: tuple[np.ndarray, ...], levels: np.ndarray) -> None:
    across, up, mean = plane
    if any(axis.values for axis in pair):
        look = {"cmap": SEQUENCE, "vmin": levels[0], "vmax": levels[-1]}
        axes.pcolormesh(across, up, mean, shading="nearest", **look)
    else:
        axes.contourf(across, up, mean, levels=levels, cmap=SEQUENCE, extend="both")
        axes.contour(across, up, mean, levels=levels[::2], colors="white", linewidths=0.5)


def _dots(axes: Axes, search: Search, first: Axis, second: Axis) -> None:
    def at(trials: tuple[TrialRow, ...]) -> tuple[np.ndarray, np.ndarray]:
        return first.at(search.places(first, trials)), second.at(search.places(second, trials))

    look: dict[str, Any] = {"ls": "none", "clip_on": False, "zorder": 4}
    axes.plot(*at(search.trials), "o", ms=4.5, color="black", mec="white", mew=0.6, label="trial", **look)
    if search.failed:
        axes.plot(*at(search.failed), "X", ms=7, color=RED, mec="white", mew=0.8, label="failed", **look)
    if search.chosen is not None:
        chosen = at((search.trials[search.chosen],))
        axes.plot(*chosen, "*", ms=14, color=ORANGE, mec="white", label="chosen", **look)


def _colour_bar(figure: Figure, panels: list[Axes], levels: np.ndarray, label: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours = ScalarMappable(Normalize(levels[0], levels[-1]), SEQUENCE)
    figure.colorbar(colours, ax=panels, label=plain_text(label), aspect=30, shrink=0.9)
