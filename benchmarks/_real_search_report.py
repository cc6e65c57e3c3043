"""Tables and a plot of the searches on real training: ours and another optimiser's, paired by seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

from powerbench.store.intervals import mean_interval

OURS = "ours"
KEY = ("task", "optimiser", "told", "seed", "trials", "version")
CAPTION = """Validation MAP@R in percent, the mean over folds. *Best*: the highest of a search's trials, mean over
seeds. *Difference*: ours minus the other's of the same seed, mean [95 % interval, Student's t]. *Reaches the other's
best*: median over seeds of the first trial that is at least as good as the other's best one, `>n` if none is. *Anew*:
the best trial's setting trained again with other seeds, the same ones for all searches of a seed. *Noise*: standard
deviation of such a repetition; a best value holds the luck of its training, for both alike. Trials that fail have no
value; seeds of which a search, or a training anew, failed altogether are left out.
"""
COLUMNS = (
    *("task", "trials", "other", "seeds", "best: ours", "other's", "difference", "won, even, lost"),
    *("ours reaches the other's best", "the other ours", "anew: ours", "other's", "difference", "noise"),
    *("CPU s a trial: training", "our search", "the other's"),
)
SEED_COLUMNS = ("task", "other", "seed", "best: ours", "at trial", "other's", "at trial", "difference")


@dataclass(frozen=True)
class Pairs:
    """Searches of a task by us and by another optimiser, seed by seed."""

    task: str
    other: str
    trials: int
    ours: list[dict]
    others: list[dict]

    def differences(self) -> list[float]:
        return [best(one) - best(two) for one, two in self._both]

    def differences_anew(self) -> list[float]:
        return [_mean_anew(one) - _mean_anew(two) for one, two in self._both]

    def reached(self) -> tuple[list[float], list[float]]:
        """The first trials at the other's best: ours, and theirs."""
        return [first_at(one, best(two)) for one, two in self._both], [
            first_at(two, best(one)) for one, two in self._both
        ]

    def noise(self) -> float:
        """The standard deviation of a training's value around its setting's mean."""
        return float(np.sqrt(np.mean([np.var(_numbers(row["anew"]), ddof=1) for row in (*self.ours, *self.others)])))

    @property
    def _both(self) -> list[tuple[dict, dict]]:
        return list(zip(self.ours, self.others, strict=True))


def best(row: dict) -> float:
    return row["values"][row["best"]]


def first_at(row: dict, value: float) -> float:
    """The number, from 1, of the first trial that reaches ``value``; infinite if there is none."""
    reached = np.flatnonzero(_numbers(row["values"]) >= value)
    return float(reached[0] + 1) if len(reached) else np.inf


def line(row: dict) -> str:
    name = " ".join(str(row[part]) for part in KEY)
    costs = f"{row['training_cpu']} s CPU of training, {row['search_cpu']} s of search"
    found = "all trials failed" if row["best"] is None else f"best {best(row):.4f} in trial {row['best'] + 1}"
    return f"{name}: {found}, {costs}"


def pairs_of(rows: list[dict]) -> list[Pairs]:
    """Ours with each other optimiser, for every task and number of trials that both have."""

    def name(row: dict) -> str:
        return row["optimiser"] if row["told"] == "nothing" else f"{row['optimiser']}, told {row['told']}"

    succeeded = [row for row in rows if row["best"] is not None and None not in row["anew"]]
    by_seed = {(row["task"], row["trials"], name(row), row["seed"]): row for row in succeeded}
    found = []
    for task, trials, other in dict.fromkeys(place[:3] for place in by_seed):
        seeds = sorted(place[3] for place in by_seed if place[:3] == (task, trials, other))
        shared = [seed for seed in seeds if (task, trials, OURS, seed) in by_seed]
        if other != OURS and shared:
            ours, others = ([by_seed[task, trials, who, seed] for seed in shared] for who in (OURS, other))
            found.append(Pairs(task, other, trials, ours, others))
    return sorted(found, key=lambda pairs: (pairs.task, pairs.trials, pairs.other))


def write(rows: list[dict], output: Path) -> None:
    """``real_search.md`` and ``real_search.png``."""
    found = pairs_of(rows)
    lines = [CAPTION, *_head(COLUMNS), *(_row(_cells(pairs)) for pairs in found)]
    lines += ["", *_head(SEED_COLUMNS), *(_row(cells) for pairs in found for cells in _cells_of_seeds(pairs))]
    (output / "real_search.md").write_text("\n".join(lines) + "\n")
    if found:
        _plot(found, output / "real_search.png")


def _cells(pairs: Pairs) -> list[str]:
    trials, differences = pairs.trials, pairs.differences()
    counts = [sum(np.sign(value) == sign for value in differences) for sign in (1, 0, -1)]
    middle = [np.quantile(first, 0.5, method="inverted_cdf") for first in pairs.reached()]
    cells = [pairs.task, str(trials), pairs.other, str(len(pairs.ours))]
    cells += [_percent([best(row) for row in group]) for group in (pairs.ours, pairs.others)]
    cells += [_interval(differences), ", ".join(map(str, counts))]
    cells += [f"{number:.0f}" if np.isfinite(number) else f">{trials}" for number in middle]
    cells += [_percent([_mean_anew(row) for row in group]) for group in (pairs.ours, pairs.others)]
    cells += [_interval(pairs.differences_anew()), f"{100 * pairs.noise():.2f}"]
    cells += [f"{_per_trial([*pairs.ours, *pairs.others], 'training_cpu'):.2f}"]
    return [*cells, *(f"{_per_trial(group, 'search_cpu'):.2f}" for group in (pairs.ours, pairs.others))]


def _cells_of_seeds(pairs: Pairs) -> list[list[str]]:
    rows = []
    for ours, other, difference in zip(pairs.ours, pairs.others, pairs.differences(), strict=True):
        cells = [pairs.task, pairs.other, str(ours["seed"])]
        for row in (ours, other):
            cells += [f"{100 * best(row):.2f}", str(row["best"] + 1)]
        rows.append([*cells, f"{100 * difference:+.2f}"])
    return rows


def _mean_anew(row: dict) -> float:
    return float(_numbers(row["anew"]).mean())


def _numbers(values: list[float | None]) -> np.ndarray:
    """NaN for what failed."""
    return np.array(values, dtype=float)


def _per_trial(rows: list[dict], cost: str) -> float:
    return float(np.median([row[cost] / row["trials"] for row in rows]))  # a process's first search imports libraries


def _percent(values: list[float]) -> str:
    return f"{100 * np.mean(values):.2f}"


def _interval(values: list[float]) -> str:
    found = mean_interval(values)
    if found.low is None or found.high is None:
        return f"{100 * found.mean:+.2f}"
    return f"{100 * found.mean:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"


def _head(names: tuple[str, ...]) -> list[str]:
    return [_row(list(names)), "|" + " --- |" * len(names)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _plot(found: list[Pairs], file: Path) -> None:
    """The best so far, above, and its paired difference with the interval, below; a column a pair of optimisers."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, len(found), figsize=(3.4 * len(found), 5.2), squeeze=False, sharex="col")
    for pairs, (above, below) in zip(found, panels.T, strict=True):
        curves = [
            100 * np.fmax.accumulate([_numbers(r["values"]) for r in group], 1) for group in (pairs.ours, pairs.others)
        ]
        across = np.arange(1, pairs.trials + 1)
        for group, name, colour in zip(curves, (OURS, pairs.other), ("C0", "C1"), strict=True):
            above.plot(across, group.T, color=colour, linewidth=0.4, alpha=0.5)
            above.plot(across, group.mean(0), color=colour, linewidth=1.5, label=name)
        above.set_title(f"{pairs.task}\n{len(pairs.ours)} seeds", fontsize=7)
        above.legend(fontsize=6)
        differences = curves[0] - curves[1]
        below.axhline(0, color="grey", linewidth=0.5)
        below.plot(across, differences.T, color="C2", linewidth=0.4, alpha=0.5)
        below.plot(across, differences.mean(0), color="C2", linewidth=1.5)
        if len(differences) > 1:
            intervals = [mean_interval(column) for column in differences.T.tolist()]
            low, high = (
                np.array(ends, dtype=float) for ends in zip(*((i.low, i.high) for i in intervals), strict=True)
            )
            below.fill_between(across, low, high, color="C2", alpha=0.15)  # no interval before all have a value
    panels[0, 0].set_ylabel("best validation MAP@R so far, %")
    panels[1, 0].set_ylabel("ours minus the other's")
    figure.supxlabel("trials")
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    plt.close(figure)
