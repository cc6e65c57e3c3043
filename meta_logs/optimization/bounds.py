"""Whether the chosen setting lies on a bound of the search, and the command that widens it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_logs.formatting import plain
from meta_logs.optimization.axes import Axis, axes_of
from meta_logs.results import ExperimentResults
from powerbench.config.yaml_text import flow

TOLERANCE = 0.01
"""How near a bound counts as on it: this part of the range, on the parameter's own scale."""
WIDENED_BY = 0.5
"""How far a bound is moved: this part of the range, on the parameter's own scale."""


@dataclass(frozen=True)
class Hit:
    """A range whose bound the chosen value lies on."""

    axis: Axis
    value: float
    upper: bool

    @property
    def bound(self) -> float:
        """The bound."""
        return self.axis.high if self.upper else self.axis.low

    @property
    def widened(self) -> list[float]:
        """The range with this bound moved outwards; a lower bound above 0 stays above it."""
        axis = self.axis
        if axis.log:
            factor = (axis.high / axis.low) ** WIDENED_BY
            moved = self.bound * factor if self.upper else self.bound / factor
        else:
            step = WIDENED_BY * (axis.high - axis.low)
            moved = self.bound + step if self.upper else self.bound - step
            moved = max(moved, 0.0) if not self.upper and axis.low > 0 else moved
        moved = self._rounded(moved)
        return [axis.low, moved] if self.upper else [moved, axis.high]

    def _rounded(self, value: float) -> float:
        if self.axis.whole:
            return math.ceil(value) if self.upper else math.floor(value)
        return float(f"{value:.3g}")

    @property
    def text(self) -> str:
        """What was found, in a sentence."""
        side = "upper" if self.upper else "lower"
        found = f"{self.axis.name} = {plain(self.value)} lies on its {side} bound {plain(self.bound)}"
        if not self.upper and self.bound == 0:
            found += " (widen it only if values below 0 have a meaning)"
        return found


def hits_of(results: ExperimentResults) -> list[Hit]:
    """The ranges whose bound the search's best trial lies on, within :data:`TOLERANCE`. Lists have no bounds."""
    best = results.best
    if best is None:
        return []
    hits = []
    for axis in axes_of(results):
        place = None if axis.key is None or axis.values else axis.place(best.parameters.get(axis.path))
        if place is None:
            continue
        if place >= 1 - TOLERANCE or place <= TOLERANCE:
            hits.append(Hit(axis, best.parameters[axis.path], place > TOLERANCE))
    return hits


def widening_command(results: ExperimentResults, hits: Sequence[Hit], places: Sequence[str] = ()) -> str:
    """The command that continues the search with these bounds moved, and with half as many trials more.

    ``places``: further words that say where things lie. Quoted for the shell: a record may come from anyone.
    """
    row = results.experiment
    trials = int(row.budget.get("trials", 0))
    words = ["python", "run.py", "--experiment_name", row.name]
    words += ["--root_experiment_folder", str(Path(row.folder).parent), *places]
    words += ["--bayes_opt_iters", str(trials + math.ceil(trials / 2)), "--merge_argparse_when_resuming"]
    changes: dict[str, Any] = {}
    for hit in hits:
        assert hit.axis.key is not None
        *parents, last = hit.axis.key.keys
        node = changes
        for parent in parents:
            node = node.setdefault(parent, {})
        node[f"{last}~{hit.axis.key.operator}~"] = hit.widened
    words += [word for key, value in changes.items() for word in (f"--{key}", flow(value))]
    return shlex.join(words)


def warnings_of(results: ExperimentResults, places: Sequence[str] = ()) -> tuple[list[str], str | None]:
    """What to say of bounds, and the command; nothing and ``None`` if the chosen setting lies on none.

    ``places``: as for :func:`widening_command`.
    """
    hits = hits_of(results)
    if not hits:
        return [], None
    near = f"within {TOLERANCE:.0%} of the range on the parameter's scale"
    found = [f"the best trial's {hit.text} ({near}): the best setting may lie beyond." for hit in hits]
    return found, widening_command(results, hits, places)
