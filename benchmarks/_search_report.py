"""Tables and a plot of the searches in ``searches.jsonl``."""

from __future__ import annotations

import itertools
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks._optimisers import HEARS_NOISE, OPTIMISERS

PUBLISHED = "published"
COMPARED = (*OPTIMISERS, PUBLISHED)
MODEL_FREE = ("sobol", "random", PUBLISHED)
"""How many run at a time changes nothing."""
REACHED = 0.99
"""A search has arrived when a trial's noise-free value is this share of the surface's best."""
WITHIN = 25
REGRETS = (10, 25, 50)
KEY = ("surface", "optimiser", "noise", "told", "parallel", "seed", "version")
COLUMNS = ("noise sd", "told", "parallel", "optimiser", "surface", "searches", "first trial at 99 %", "misses in 25")
CAPTION = """Median [quartiles] over surfaces and seeds. *First trial at 99 %*: the first whose noise-free value is 99 %
of the surface's best, `>n` if the search ended before. *Regret*: what the best noise-free value so far lacks, in
thousandths; *of choice*: what the trial lacks that looks best. `nothing`, `folds`, `sd`: what the optimiser is told
of the noise: no standard error, the one over folds of unequal difficulty, the true one.
"""


def first_reached(row: dict) -> float:
    """The number, from 1, of the first trial at 99 %; infinite if there is none."""
    reached = np.flatnonzero(np.array(row["values"]) >= REACHED * row["best"])
    return float(reached[0] + 1) if len(reached) else np.inf


def regret(row: dict, trials: int) -> float:
    return row["best"] - max(row["values"][:trials])


def regret_of_choice(row: dict, trials: int) -> float:
    return row["best"] - row["values"][int(np.argmax(row["observed"][:trials]))]


def line(row: dict) -> str:
    name = " ".join(str(row[part]) for part in KEY)
    return f"{name}: 99 % at {first_reached(row):.0f}, regret {regret(row, row['trials']):.4f}, {row['cpu']} s CPU"


def write(rows: list[dict], output: Path) -> None:
    """``search_quality.md`` and ``search_quality.png``."""
    head = [*COLUMNS, *(f"regret at {n}" for n in REGRETS), f"of choice at {WITHIN}", "s CPU a trial"]
    lines = [CAPTION, "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for surface in ("all", *sorted({row["surface"] for row in rows})):
        chosen = [row for row in rows if surface in ("all", row["surface"])]
        for setting, group in _groups(chosen, ("noise", "told", "parallel", "optimiser")):
            lines.append("| " + " | ".join([*map(str, setting), surface, *_cells(group)]) + " |")
    (output / "search_quality.md").write_text("\n".join(lines) + "\n")
    if rows:
        _plot(rows, output / "search_quality.png")


def _groups(rows: list[dict], names: tuple[str, ...]):
    def of(row: dict) -> tuple:
        return tuple(row[name] for name in names)

    return [(setting, list(group)) for setting, group in itertools.groupby(sorted(rows, key=of), key=of)]


def _cells(rows: list[dict]) -> list[str]:
    trials = min(row["trials"] for row in rows)
    first = [first_reached(row) for row in rows]
    misses = str(sum(number > WITHIN for number in first)) if trials >= WITHIN else "-"
    cells = [str(len(rows)), _spread(first, trials, "{:g}"), misses]
    for number in REGRETS:
        cells.append(_thousandths([regret(row, number) for row in rows]) if trials >= number else "-")
    cells.append(_thousandths([regret_of_choice(row, WITHIN) for row in rows]) if trials >= WITHIN else "-")
    return [*cells, f"{np.mean([row['cpu'] / row['trials'] for row in rows]):.2f}"]


def _spread(values: list[float], trials: int, form: str) -> str:
    low, middle, high = (
        form.format(value) if np.isfinite(value) else f">{trials}"
        for value in np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf")
    )
    return f"{middle} [{low}, {high}]"


def _thousandths(values: list[float]) -> str:
    return _spread([1000 * value for value in values], 0, "{:.1f}")


def _plot(rows: list[dict], file: Path) -> None:
    """Regret against trials, median and quartiles over seeds: a row of panels a setting, a column a surface."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    surfaces = sorted({row["surface"] for row in rows})
    settings = sorted({(row["noise"], row["told"], row["parallel"]) for row in rows})
    size = (3.4 * len(surfaces), 2.6 * len(settings))
    figure, panels = plt.subplots(
        len(settings), len(surfaces), figsize=size, squeeze=False, sharex=True, layout="constrained"
    )
    for (noise, told, parallel), across in zip(settings, panels, strict=True):
        for surface, panel in zip(surfaces, across, strict=True):
            here = [row for row in rows if row["surface"] == surface and row["noise"] == noise]
            shown = [
                row
                for row in here
                if (row["told"] == told or row["optimiser"] not in HEARS_NOISE)
                and (row["parallel"] == parallel or row["optimiser"] in MODEL_FREE)
            ]
            for (optimiser,), group in _groups(shown, ("optimiser",)):
                _curve(panel, optimiser, group)
            panel.set_title(f"{surface}\nsd {noise:g}, told {told}, {parallel} in parallel", fontsize=7)
            highest = next(row["best"] for row in rows if row["surface"] == surface)
            panel.axhline((1 - REACHED) * highest, color="grey", linestyle=":", linewidth=0.8)
            panel.set_yscale("log")
    panels[0, 0].legend(fontsize=6)
    figure.supxlabel("trials")
    figure.supylabel("regret (noise-free); dotted: 99 % of the best")
    figure.savefig(file, dpi=120)
    plt.close(figure)


def _curve(panel, optimiser: str, group: list[dict]) -> None:
    trials = min(row["trials"] for row in group)
    curves = [row["best"] - np.maximum.accumulate(row["values"][:trials]) for row in group]
    low, middle, high = np.quantile(np.maximum(curves, 1e-5), [0.25, 0.5, 0.75], axis=0)
    colour, across = f"C{COMPARED.index(optimiser)}", np.arange(1, trials + 1)
    panel.plot(across, middle, label=optimiser, linewidth=1, color=colour)
    panel.fill_between(across, low, high, alpha=0.15, linewidth=0, color=colour)
