"""Papers against measured: the precision at 1 that papers reported for two losses, beside what is measured here.

The reported numbers (percent, with convnets) were collected on the documentation page of "A Metric Learning Reality
Check" (Musgrave, Belongie, Lim, 2020); ``data/reported_precision_at_1.csv`` names the paper and venue of each. They
come from different trunks, embedding sizes and protocols, so they are shown beside our numbers and never tested
against them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from meta_logs.drawing import BLUE, GREY, ORANGE, new_figure, plain_text, png
from meta_logs.formatting import Estimate, Value, metric_label
from meta_logs.results import ExperimentResults, results_of
from meta_logs.table import Table
from powerbench.config.keys import parse_key
from powerbench.files import write_atomic
from powerbench.jobs import CONCATENATED, SEPARATE, TRAINED, UNTRAINED_TRUNK
from powerbench.store.rows import ExperimentRow
from powerbench.store.store import Store

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FILE = Path(__file__).parent / "data" / "reported_precision_at_1.csv"
_COLUMNS = {"CUB200": "cub200", "Cars196": "cars196", "StanfordOnlineProducts": "sop"}
_CLASSES = {"ContrastiveLoss": "contrastive", "TripletMarginLoss": "triplet"}
_METRIC = "precision_at_1"
_MEASURED = (
    ("untrained trunk", SEPARATE, UNTRAINED_TRUNK, "D", GREY),
    ("separate", SEPARATE, TRAINED, "o", BLUE),
    ("concatenated", CONCATENATED, TRAINED, "s", ORANGE),
)


@dataclass(frozen=True)
class Reported:
    """What a paper reported for a loss, in percent."""

    loss: str
    paper: str
    venue: str
    percent: float


def reported(dataset: str) -> list[Reported]:
    """What papers reported on a dataset (``CUB200``, ``Cars196``, ``StanfordOnlineProducts``); none on another one."""
    column = _COLUMNS.get(dataset)
    if column is None:
        return []
    with _FILE.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[column]]
    return [Reported(row["loss"], row["paper"], row["venue"], float(row[column])) for row in rows]


def dataset_of(row: ExperimentRow) -> str | None:
    """The dataset of an experiment, if papers' numbers on it are known."""
    name = next(iter(row.protocol.get("dataset") or {}), None)
    return name if name in _COLUMNS else None


def loss_of(row: ExperimentRow) -> str | None:
    """``contrastive`` or ``triplet`` if that alone is what an experiment trains with."""
    keys = row.config.get("config_loss_and_miners") or {}
    named = _below(keys, "loss_funcs") or {}
    losses = [name for loss in named.values() for name in (loss if isinstance(loss, dict) else {loss: None})]
    return _CLASSES.get(parse_key(losses[0], "").name) if len(losses) == 1 and isinstance(losses[0], str) else None


def _below(keys: Mapping[str, Any], name: str) -> Any:
    return next((value for raw, value in keys.items() if parse_key(raw, "").name == name), None)


def write_papers(store: Store, row: ExperimentRow, folder: Path) -> bytes | None:
    """Write ``papers.png`` and ``papers.csv``, ``.md``, ``.tex``, and return the picture.

    For an experiment with one of the losses on one of the datasets: all such experiments of its store under its
    protocol, measured or not. For another one nothing, and ``None``.
    """
    dataset = dataset_of(row)
    if dataset is None or loss_of(row) is None:
        return None
    alike = [other for other in store.experiments() if other.protocol_fingerprint == row.protocol_fingerprint]
    measured = {other.name: results_of(store, other.name) for other in alike if loss_of(other)}
    papers_table(dataset, measured).write(folder, "papers")
    picture = papers_figure(dataset, measured)
    write_atomic(folder / "papers.png", picture)
    return picture


def papers_table(dataset: str, measured: Mapping[str, ExperimentResults]) -> Table:
    """One row a paper and loss, then one for each number of ours."""
    rows: list[tuple[Value, ...]] = [(one.loss, one.paper, one.venue, one.percent) for one in reported(dataset)]
    for name, results in measured.items():
        loss = loss_of(results.experiment)
        for label, estimate in _estimates(results).items():
            rows.append((loss, f"measured here: {name}, {label}", "", estimate))
    notes = (
        "Papers: percent as reported, with other trunks, embedding sizes and protocols; not comparable to ours, nor "
        "all to each other. Collected on the documentation page of the Metric Learning Reality Check.",
        "Measured here: test split, mean ± half width of the 95 % interval over trainings (n)."
        if any(_estimates(results) for results in measured.values())
        else "Nothing is measured here yet.",
    )
    return Table(f"{metric_label(_METRIC)} on {dataset}: papers and measured", _HEAD, tuple(rows), notes)


_HEAD = ("Loss", "Paper", "Venue", "R@1")


def _estimates(results: ExperimentResults) -> dict[str, Estimate]:
    found = {}
    for label, mode, weights, _, _ in _MEASURED:
        row = results.summary("test", mode, _METRIC, weights)
        if row is not None:
            found[label] = Estimate(row.mean, row.half_width, row.n, percent=True)
    return found


def papers_figure(dataset: str, measured: Mapping[str, ExperimentResults]) -> bytes:
    """As PNG: for each loss the papers' numbers by year, and below them ours with intervals."""
    shown = {
        loss: (
            [one for one in reported(dataset) if one.loss == loss],
            {name: found for name, found in measured.items() if loss_of(found.experiment) == loss},
        )
        for loss in _CLASSES.values()
    }
    heights = [len(papers) + max(len(ours), 1) + 1 for papers, ours in shown.values()]
    figure, panels = new_figure(2, 1, 8.4, 1.2 + 0.34 * sum(heights))
    panels[0].get_subplotspec().get_gridspec().set_height_ratios(heights)  # type: ignore[union-attr]
    panels[0].sharex(panels[1])
    for axes, (loss, (papers, ours)) in zip(panels, shown.items(), strict=True):
        _panel(axes, papers, ours)
        axes.set_title(f"{loss} loss on {dataset}", fontsize=10, loc="left")
    panels[1].set_xlabel(f"{metric_label(_METRIC)} (%)")
    handles = {label: one for axes in panels for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=4, fontsize=8, frameon=False)
    return png(figure)


def _panel(axes: Axes, papers: list[Reported], ours: Mapping[str, ExperimentResults]) -> None:
    names = [f"{_short(one.paper)} ({one.venue})" for one in papers]
    places = range(len(papers))
    axes.plot([one.percent for one in papers], places, "o", mfc="white", color="black", label="reported by the paper")
    for place, (name, results) in enumerate(ours.items(), start=len(papers)):
        names.append(f"measured here: {name}")
        found = _estimates(results)
        for label, _, _, marker, colour in _MEASURED:
            if label in found:
                value, half = 100 * found[label].mean, 100 * (found[label].half_width or 0.0)
                look: dict[str, Any] = {
                    "fmt": marker,
                    "ms": 6,
                    "color": colour,
                    "capsize": 3,
                    "label": f"measured, {label}",
                }
                axes.errorbar(value, place, xerr=half, **look)
        if not found:
            where = ("axes fraction", "data")
            axes.annotate("not measured yet", (0.02, place), xycoords=where, va="center", fontsize=8)
    if not ours:
        names.append("measured here: nothing yet")
    axes.axhspan(len(papers) - 0.5, len(names) - 0.5, color=BLUE, alpha=0.06, lw=0)
    axes.set_yticks(range(len(names)), [plain_text(name) for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _short(title: str) -> str:
    return wrap(title, 52)[0] + (" …" if len(title) > 52 else "")
