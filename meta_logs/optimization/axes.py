"""The searched parameters as axes of plots: names, ranges, scales, and where a value lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_logs.formatting import plain, short_names
from meta_logs.results import ExperimentResults
from powerbench.config.merged import MergedConfig
from powerbench.config.search_keys import SearchKey, search_keys
from powerbench.store.rows import TrialRow

_WIDEST = 14
"""Characters of a choice that are shown."""


@dataclass(frozen=True)
class Axis:
    """A searched parameter: a range from ``low`` to ``high`` (``log``: searched by its logarithm), or ``values``.

    Every value has a place: 0 and 1 are the ends of a range on its own scale; the values of a list have the places
    0, 1, 2, ... ``key`` is the config's, ``None`` if it searches the parameter no longer.
    """

    path: str
    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    values: tuple[Any, ...] = ()
    key: SearchKey | None = None

    @property
    def ordered(self) -> bool:
        """Whether neighbouring places mean similar values: ranges, and lists of numbers."""
        return all(_is_number(value) for value in self.values)

    def place(self, value: Any) -> float | None:
        """Where a value lies; beyond 0 and 1 for one outside the range, ``None`` if it has no place."""
        if self.values:
            found = [i for i, known in enumerate(self.values) if (type(known), known) == (type(value), value)]
            return float(found[0]) if found else None
        if not _is_number(value) or (self.log and value <= 0):
            return None
        low, high, here = (math.log(x) if self.log else float(x) for x in (self.low, self.high, value))
        return (here - low) / (high - low)

    def at(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """The coordinates to draw at: the values of a range, the places of a list."""
        if self.values:
            return places
        if self.log:
            return np.asarray(np.exp(math.log(self.low) + places * (math.log(self.high) - math.log(self.low))))
        return self.low + places * (self.high - self.low)

    def grid(self, points: int) -> NDArray[np.float64]:
        """Places from end to end: every one of a list, ``points`` of a range."""
        return np.arange(len(self.values), dtype=float) if self.values else np.linspace(0, 1, points)

    @property
    def labels(self) -> list[str]:
        """The values of a list, as long as there is room for."""
        shown = [plain(value) if _is_number(value) else str(value) for value in self.values]
        return [text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…" for text in shown]

    @property
    def title(self) -> str:
        """The name, and the scale if it is not linear."""
        return f"{self.name} (log scale)" if self.log else self.name


def axes_of(results: ExperimentResults) -> tuple[Axis, ...]:
    """One axis for each parameter that the config searches or a trial has a value of."""
    trials = [trial for trial in results.trials if trial.kind == "search"]
    config = {name: keys for name, keys in results.experiment.config.items() if isinstance(keys, dict)}
    keys = {key.path: key for key in search_keys(MergedConfig.from_plain(config))}
    given = dict.fromkeys(path for trial in trials for path in trial.parameters)
    names = short_names({**dict.fromkeys(keys), **given})
    return tuple(_axis(path, names[path], keys.get(path), trials) for path in names if path in given)


def _axis(path: str, name: str, key: SearchKey | None, trials: Sequence[TrialRow]) -> Axis:
    found = [trial.parameters[path] for trial in trials if path in trial.parameters]
    if key is not None and not key.choices:
        low, high = key.value
        return Axis(path, name, low, high, key.operator == "LOG_BAYESIAN", key.operator == "INT_BAYESIAN", (), key)
    if key is None and all(_is_number(value) for value in found) and min(found) < max(found):
        return Axis(path, name, min(found), max(found))
    tried = {(type(value), value): value for value in found}
    listed = {(type(value), value): value for value in (key.value if key else ())}
    return Axis(path, name, 0.0, 1.0, values=tuple({**listed, **tried}.values()), key=key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
