"""What the plots of one search share: its trials as points, the chosen one, and the model of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from meta_logs.formatting import is_fraction, metric_label
from meta_logs.optimization.axes import Axis, axes_of
from meta_logs.optimization.importance import Importance, importances
from meta_logs.optimization.surrogate import Array, Surrogate, fit
from meta_logs.results import ExperimentResults
from powerbench.store.intervals import t_quantile
from powerbench.store.rows import TrialRow

MOST_AXES = 6
"""Parameters that are drawn against each other: the most important ones."""
_LINE, _PLANE = 101, 41


@dataclass(frozen=True)
class Search:
    """The measured search trials, by number. Metrics that are fractions are in percent here, as everywhere shown."""

    results: ExperimentResults
    trials: tuple[TrialRow, ...]
    failed: tuple[TrialRow, ...]
    axes: tuple[Axis, ...]

    @property
    def scale(self) -> float:
        """What a stored value is multiplied by to be shown."""
        return 100.0 if is_fraction(self.results.primary_metric) else 1.0

    @property
    def label(self) -> str:
        """The metric with its unit."""
        unit = " (%)" if is_fraction(self.results.primary_metric) else ""
        return f"validation {metric_label(self.results.primary_metric)}{unit}"

    @cached_property
    def means(self) -> Array:
        """The mean over folds of each trial."""
        return np.array([trial.mean for trial in self.trials], dtype=float) * self.scale

    @cached_property
    def sems(self) -> Array:
        """Its standard error over folds; 0 where there is none."""
        return np.array([trial.sem or 0.0 for trial in self.trials]) * self.scale

    @cached_property
    def folds(self) -> int:
        """How many folds a trial has."""
        return max((len(self.results.runs.get(trial.id, ())) for trial in self.trials), default=0)

    @property
    def numbers(self) -> list[int]:
        """The trials' numbers."""
        return [trial.number for trial in self.trials]

    @cached_property
    def leaders(self) -> NDArray[np.int64]:
        """For each trial, the place of the best one so far among the trials."""
        best = np.maximum.accumulate(self.means)
        new = np.append(True, best[1:] > best[:-1])
        return np.maximum.accumulate(np.where(new, np.arange(len(best)), 0))

    def best_interval(self, confidence: float = 0.95) -> tuple[Array, Array] | None:
        """Student's t interval over folds of the best trial so far, at each trial; ``None`` with a single fold."""
        if self.folds < 2 or not self.sems.any():
            return None
        half = t_quantile(confidence, self.folds - 1) * self.sems[self.leaders]
        return self.means[self.leaders] - half, self.means[self.leaders] + half

    @cached_property
    def chosen(self) -> int | None:
        """The place of the best trial among the trials."""
        best = self.results.best
        return next((i for i, trial in enumerate(self.trials) if best is not None and trial.id == best.id), None)

    def places(self, axis: Axis, trials: tuple[TrialRow, ...]) -> Array:
        """Where the trials lie on an axis; NaN for one without a value there."""
        found = [axis.place(trial.parameters.get(axis.path)) for trial in trials]
        return np.array([np.nan if place is None else place for place in found])

    @cached_property
    def points(self) -> Array:
        """N x d places."""
        columns = [self.places(axis, self.trials) for axis in self.axes]
        return np.stack(columns, axis=1) if columns else np.empty((len(self.trials), 0))

    @cached_property
    def surrogate(self) -> Surrogate | None:
        """The model of the trials that have a place on every axis."""
        whole = np.isfinite(self.points).all(axis=1) & np.isfinite(self.means)
        return fit(self.points[whole] * self.units, self.means[whole], np.array([a.ordered for a in self.axes]))

    @cached_property
    def units(self) -> Array:
        """What one place of each axis is to the model: the whole of a range, a step of a list."""
        return np.array([1 / max(len(axis.values) - 1, 1) for axis in self.axes])

    @cached_property
    def importances(self) -> tuple[Importance, ...]:
        """What mattered, the most important first; empty without a model or with a single parameter."""
        if self.surrogate is None or len(self.axes) < 2:
            return ()
        found = importances(self.axes, self.surrogate, self.units)
        return tuple(sorted(found, key=lambda one: -one.total))

    @cached_property
    def drawn(self) -> tuple[Axis, ...]:
        """The axes that are drawn against each other, in the config's order."""
        if len(self.axes) <= MOST_AXES:
            return self.axes
        kept = [one.axis for one in self.importances[:MOST_AXES]] or list(self.axes[:MOST_AXES])
        return tuple(axis for axis in self.axes if axis in kept)

    @property
    def pairs(self) -> list[tuple[Axis, Axis]]:
        """Every two of them."""
        return list(combinations(self.drawn, 2))

    def line(self, axis: Axis) -> tuple[Array, Array, Array] | None:
        """Places on an axis, and the model's mean and standard deviation there; the rest as in the chosen trial."""
        base, places = self._base(), axis.grid(_LINE)
        if self.surrogate is None or base is None:
            return None
        points = np.repeat(base[None], len(places), axis=0)
        points[:, self.axes.index(axis)] = places
        return places, *self.surrogate.predict(points * self.units)

    def plane(self, first: Axis, second: Axis) -> tuple[Array, Array, Array] | None:
        """Places on two axes, and the model's mean (second x first); the rest as in the chosen trial."""
        base = self._base()
        if self.surrogate is None or base is None:
            return None
        across, up = first.grid(_PLANE), second.grid(_PLANE)
        points = np.repeat(base[None], len(across) * len(up), axis=0)
        points[:, self.axes.index(first)] = np.tile(across, len(up))
        points[:, self.axes.index(second)] = np.repeat(up, len(across))
        return across, up, self.surrogate.mean(points * self.units).reshape(len(up), len(across))

    def _base(self) -> Array | None:
        """The chosen trial's places, if it has one on every axis."""
        if self.chosen is None or not np.isfinite(self.points[self.chosen]).all():
            return None
        return np.asarray(self.points[self.chosen])


def search_of(results: ExperimentResults) -> Search:
    """The search of an experiment, perhaps without any trial."""
    tried = [trial for trial in results.trials if trial.kind == "search"]
    measured = tuple(t for t in tried if t.state == "done" and t.mean is not None and t.mean == t.mean)
    failed = tuple(trial for trial in tried if trial.state == "failed")
    return Search(results, measured, failed, axes_of(results))
