"""``optimization_plots.html``: the pictures of a search to point at, zoom and filter, in one file."""

from __future__ import annotations

import gzip
from base64 import b64encode
from functools import lru_cache
from pathlib import Path
from typing import Any

from meta_logs.optimization import plots
from meta_logs.optimization.bounds import warnings_of
from meta_logs.optimization.search import Search

_TEMPLATES = Path(__file__).parents[1] / "templates"
_SECTIONS = (
    ("Trace", "Every trial (mean ± standard error over folds) and the best so far.", plots.trace),
    ("Importance", "What explains the model's variation over the searched space.", plots.importance),
    (
        "Slices",
        "Dots are trials, the star is the chosen one, crosses failed. The line is a model of them along one parameter, "
        "the others as in the chosen trial, with its 95 % band.",
        plots.slices,
    ),
    ("Contours", "The model's mean over two parameters, the others as in the chosen trial.", plots.contours),
    ("Parallel coordinates", "Drag along an axis to keep some trials; darker is better.", plots.parallel_coordinates),
)
_LISTED = ("Contours",)
"""Sections that show one plot at a time."""


def optimization_page(search: Search) -> str | None:
    """The page, with all it needs in it; ``None`` before the first measured trial. Names are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if not search.trials:
        return None
    drawn = [(title, note, draw(search)) for title, note, draw in _SECTIONS]
    sections: list[dict[str, Any]] = [
        {"title": title, "note": note, "plots": found, "listed": title in _LISTED and len(found) > 1}
        for title, note, found in drawn
        if found
    ]
    warnings, command = warnings_of(search.results)
    templates = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    return templates.get_template("optimization_plots.html").render(
        name=search.results.experiment.name,
        sections=sections,
        warnings=warnings,
        command=command,
        plotly=_plotly(),
    )


@lru_cache(maxsize=1)
def _plotly() -> str:
    """plotly.js (MIT), compressed from 4.8 to 1.5 MB, as text; the browser expands it."""
    from plotly.offline import get_plotlyjs

    return b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
