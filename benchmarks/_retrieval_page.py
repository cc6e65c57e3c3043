"""The page of the retrieval benchmark: tables and a plot."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._retrieval_worker import ACCURACY_CALCULATOR, METRICS, POWERBENCH, SIDE
from powerbench.environment import cpu_model

Rows = Sequence[dict[str, Any]]
KEYS = ("set", "separation", "items", "dimensions", "threads")
LIBRARIES = ("numpy", "numba", "faiss-cpu", "torch", "pytorch-metric-learning")

PAGE = """# Cost of retrieval metrics

MAP@R, R-precision and precision@1 of the same embeddings: `powerbench.evaluation.measure` beside
pytorch-metric-learning's `AccuracyCalculator` (`k="max_bin_count"`; neighbours by faiss). Written by

    python -m benchmarks retrieval --output docs/benchmarks

The embeddings are synthetic (normal clouds around normal centres, length 1), with as many classes, as large, as the
test sets have, at an `easy` and a `hard` separation. Their axes fall in length as those of heads trained in the demo do
(there the first half of 128 axes holds 93 to 98 % of the variance, here 93 to 95 %), so that bounds from few axes
settle most pairs; with `even axes` there is nothing to gain from that, and all products are made. Both engines measure
in turn, each in a process of its own that waits while the other works. Shown are medians over the repetitions, in
brackets the lowest and the highest.

- CPU s, wall s: of one call. Starting Python, importing, and compiling (once a machine: the code is kept on disk) come
  before the clock starts.
- times less: CPU seconds of AccuracyCalculator over those of powerbench.
- products: what the matrix products of all pairs of items (each once) would take alone, at the speed of a product of
  two {side} x {side} matrices measured beside each call; share: of powerbench's CPU seconds (bounds can take it beyond
  100 %).
- MiB: the most memory added by a call.

{machine}

{table}

MAP@R, R-precision and precision@1 of the two differ by {difference:.0e} at most.

## Growth with the number of items

128 dimensions, class sizes of SOP, easy separation, 1 thread.

![CPU seconds and memory against the number of items](retrieval.png)

{growth}

{million}
"""


@dataclass(frozen=True)
class Pair:
    """Measurements of one set by both engines; those of AccuracyCalculator may be missing."""

    key: dict[str, Any]
    ours: Rows
    theirs: Rows

    @property
    def floor(self) -> float:
        """CPU seconds of the products alone."""
        return float(median(row["floor_s"] for row in (*self.ours, *self.theirs)))

    @property
    def cpu(self) -> float:
        return float(median(row["cpu_s"] for row in self.ours))

    def both(self, cost: str) -> list[str]:
        """A cost of both engines."""
        return [_spread([row[cost] for row in rows]) for rows in (self.ours, self.theirs)]

    @property
    def ratio(self) -> str:
        return f"{median(row['cpu_s'] for row in self.theirs) / self.cpu:.1f}" if self.theirs else ""

    @property
    def difference(self) -> float:
        pairs = ((one[metric], other[metric]) for one in self.ours for other in self.theirs for metric in METRICS)
        return max((abs(one - other) for one, other in pairs), default=0.0)


def write(rows: Rows, grown: Rows, folder: Path) -> None:
    """Both files. rows: single measurements of the sets; grown: those of one set at several sizes."""
    pairs, growth = _pairs(rows), sorted(_pairs(grown), key=lambda pair: int(pair.key["items"]))
    folder.mkdir(parents=True, exist_ok=True)
    page = PAGE.format(
        side=SIDE,
        machine=_machine(),
        table=_of_sets(pairs),
        difference=max((pair.difference for pair in (*pairs, *growth)), default=0.0),
        growth=_of_growth(growth),
        million=_million(growth),
    )
    (folder / "retrieval.md").write_text(page, encoding="utf-8")
    if growth:
        _plot(growth, folder / "retrieval.png")


def _pairs(rows: Rows) -> list[Pair]:
    found = []
    for key, part in groupby(rows, key=lambda row: {name: row[name] for name in KEYS}):
        some = list(part)
        ours, theirs = ([row for row in some if row["engine"] == name] for name in (POWERBENCH, ACCURACY_CALCULATOR))
        found.append(Pair(key, ours, theirs))
    return found


def _of_sets(pairs: Iterable[Pair]) -> str:
    titles = [
        *("set", "size", "MAP@R", "threads", "CPU s", "AccuracyCalculator", "times less", "wall s"),
        *("AccuracyCalculator", "products, share", "MiB", "AccuracyCalculator"),
    ]
    lines = []
    for pair in pairs:
        key = pair.key
        floor = f"{_shown(pair.floor)}, {pair.floor / pair.cpu:.0%}"
        name, size = f"{key['set']} {key['separation']}", f"{key['items']:,} x {key['dimensions']}"
        cpu, wall, memory = (pair.both(cost) for cost in ("cpu_s", "wall_s", "added_mib"))
        score = f"{pair.ours[0]['map_at_r']:.3f}"
        lines.append([name, size, score, str(key["threads"]), *cpu, pair.ratio, *wall, floor, *memory])
    return _markdown(titles, lines)


def _of_growth(pairs: Iterable[Pair]) -> str:
    titles = ["items", "MAP@R", "CPU s", "products", "AccuracyCalculator", "times less", "MiB", "AccuracyCalculator"]
    lines = []
    for pair in pairs:
        cpu, memory = pair.both("cpu_s"), pair.both("added_mib")
        score = f"{pair.ours[0]['map_at_r']:.3f}"
        lines.append([f"{pair.key['items']:,}", score, cpu[0], _shown(pair.floor), cpu[1], pair.ratio, *memory])
    return _markdown(titles, lines)


def _million(growth: Sequence[Pair]) -> str:
    """The cost of 1,000,000 items, on paper: it grows with the square of their number."""
    if not growth:
        return ""
    items = int(growth[-1].key["items"])
    minutes = growth[-1].cpu * (1e6 / items) ** 2 / 60
    return (
        f"Not run: 1,000,000 items, at the cost of {items:,} times the square of the ratio, would take {minutes:.0f} "
        "CPU minutes. [Metrics](../metrics.md#memory) says what memory they need."
    )


def _spread(values: Sequence[float]) -> str:
    """The median, with the range in brackets."""
    if not values:
        return "not run"
    middle, low, high = (_shown(value) for value in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def _shown(value: float) -> str:
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3}f}"


def _markdown(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"Measured on: {cpu_model()}; Python {platform.python_version()}, {libraries}."


def _plot(growth: Sequence[Pair], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (cost, memory) = pyplot.subplots(1, 2, figsize=(10, 4))
    for engine, parts in ((POWERBENCH, "ours"), (ACCURACY_CALCULATOR, "theirs")):
        some = [(pair.key["items"], getattr(pair, parts)) for pair in growth if getattr(pair, parts)]
        items = [count for count, _ in some]
        cost.plot(items, [median(row["cpu_s"] for row in rows) for _, rows in some], marker="o", label=engine)
        memory.plot(items, [max(row["added_mib"] for row in rows) for _, rows in some], marker="o", label=engine)
    items = [pair.key["items"] for pair in growth]
    cost.plot(items, [pair.floor for pair in growth], linestyle="--", color="grey", label="matrix products alone")
    for axes, title, scale in ((cost, "CPU seconds, 1 thread", "log"), (memory, "MiB added", "symlog")):
        axes.set(xscale="log", yscale=scale, xlabel="items", ylabel=title)  # small sets may add nothing
        axes.grid(alpha=0.3)
    memory.set_ylim(bottom=0)
    cost.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)
