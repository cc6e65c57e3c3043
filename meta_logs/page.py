"""``report.html``: one self-contained page of an experiment."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meta_logs import formatting
from meta_logs.optimization.bounds import warnings_of
from meta_logs.results import ExperimentResults
from meta_logs.tables import results_table, trials_table

_TEMPLATES = Path(__file__).parent / "templates"
_CAPTIONS = {
    "optimization": "The search: every trial, and the best so far with its 95 % interval over folds",
    "learning_curves": "The chosen trial: validation and loss by epoch",
    "slices": "Every trial against each parameter: later ones are darker, the star is the chosen one. The line is a "
    "model of the trials along this parameter, the others as in the chosen trial",
    "contours": "The model over two parameters, the others as in the chosen trial",
    "parallel_coordinates": "Every trial from parameter to parameter: darker is better",
    "importance": "What explains the model's variation over the searched space",
    "papers": "What papers reported beside what is measured here: their trunks, sizes and protocols differ",
}
OPTIMIZATION_PAGE = "optimization_plots.html"
"""The page of the search beside the report."""


def report_page(results: ExperimentResults, figures: Mapping[str, bytes]) -> str:
    """The page: tables, figures as data, protocol, environments. Everything from outside is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    warnings, command = warnings_of(results)
    images = [(_CAPTIONS[name], b64encode(png).decode()) for name, png in figures.items()]
    return templates.get_template("report.html").render(
        experiment=results.experiment,
        marks=results.marks,
        warnings=warnings,
        command=command,
        interactive=OPTIMIZATION_PAGE if "optimization" in figures else None,
        tables=[results_table(results), trials_table(results)],
        plain=formatting.plain,
        images=images,
        counts={kind: results.count(kind) for kind in ("search", "reproduction", "single")},
        budget=results.experiment.budget,
        fold_runs=results.fold_runs,
        hours=results.hours,
        protocol=_flat(results.protocol),
        environments=[_flat(row.content) for row in results.environments],
    )


def _flat(content: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested mappings as lines of slash path and value."""
    lines = []
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            lines += _flat(value, f"{above}{key}/")
        else:
            lines.append((f"{above}{key}", _value(value)))
    return lines


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return "{}" if value == {} else str(value)
