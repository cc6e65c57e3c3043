"""Everything a report needs of one experiment, read from a store once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from powerbench.errors import UserError, nearest
from powerbench.jobs import TRAINED
from powerbench.protocol import CHANGED_MIDWAY
from powerbench.store.evaluations import sample_of
from powerbench.store.rows import (
    EnvironmentRow,
    EvaluationRow,
    ExperimentRow,
    LossRow,
    MeasurementRow,
    RunRow,
    SummaryRow,
    TrialRow,
    best_trial,
)
from powerbench.store.store import Store

RANDOM_WEIGHTS = "random"
PUBLISHED_TEST_MAX = "published_test_max"


@dataclass(frozen=True)
class ExperimentResults:
    """One experiment's rows; ``runs`` and ``evaluations`` by trial id, ``curves`` are those of the best trial."""

    experiment: ExperimentRow
    trials: tuple[TrialRow, ...]
    runs: Mapping[int, tuple[RunRow, ...]]
    evaluations: Mapping[int, tuple[EvaluationRow, ...]]
    summaries: tuple[SummaryRow, ...]
    environments: tuple[EnvironmentRow, ...]
    curves: Mapping[int, tuple[tuple[MeasurementRow, ...], tuple[LossRow, ...]]]

    @property
    def protocol(self) -> Mapping[str, Any]:
        """The experiment's protocol."""
        protocol: Mapping[str, Any] = self.experiment.protocol
        return protocol

    @property
    def primary_metric(self) -> str:
        """The metric that validation chooses by."""
        return str(self.protocol.get("primary_metric", "map_at_r"))

    @cached_property
    def best(self) -> TrialRow | None:
        """The search's best trial."""
        return best_trial(self.trials)

    @cached_property
    def shown(self) -> TrialRow | None:
        """The trial whose setting stands for the experiment: the search's best, else the first that ended well."""
        return self.best or next((trial for trial in self.trials if trial.state == "done"), None)

    def count(self, kind: str) -> int:
        """How many trials of a kind ended."""
        return sum(trial.kind == kind and trial.state != "running" for trial in self.trials)

    @property
    def fold_runs(self) -> int:
        """How many fold runs ended."""
        return sum(run.state != "running" for runs in self.runs.values() for run in runs)

    @property
    def hours(self) -> float:
        """The summed wall time of the fold runs, in hours."""
        return sum(run.seconds or 0.0 for runs in self.runs.values() for run in runs) / 3600

    def values(self, split: str, mode: str, metric: str, weights: str = TRAINED) -> dict[int, float]:
        """A metric of each reproduction that counts, by its number; empty unless there are reproductions."""
        sample, members = sample_of(list(self.trials))
        if sample != "reproductions":
            return {}
        wanted = (split, mode, weights, metric)
        return {
            trial.number: row.value
            for trial in members
            for row in self.evaluations[trial.id]
            if (row.split, row.mode, row.weights, row.metric) == wanted
        }

    def values_that_count(self, split: str, mode: str, weights: str, metric: str) -> list[float]:
        """A metric of each training that stands for the experiment."""
        wanted = (split, mode, weights, metric)
        return [
            row.value
            for trial in sample_of(list(self.trials))[1]
            for row in self.evaluations[trial.id]
            if (row.split, row.mode, row.weights, row.metric) == wanted
        ]

    def summary(self, split: str, mode: str, metric: str, weights: str = TRAINED) -> SummaryRow | None:
        """A summary by its key."""
        wanted = (split, mode, weights, metric)
        return next((row for row in self.summaries if (row.split, row.mode, row.weights, row.metric) == wanted), None)

    @property
    def marks(self) -> list[str]:
        """What a reader of any table must know about these results."""
        marks = []
        if self.protocol.get("trunk_weights") == RANDOM_WEIGHTS:
            marks.append("random trunk weights")
        if self.protocol.get("selection") == PUBLISHED_TEST_MAX:
            marks.append("selected on test (published_test_max)")
        if changed := self.protocol.get(CHANGED_MIDWAY):
            marks.append(f"settings changed between trials ({', '.join(changed)})")
        overtaken = [
            t for t in self.trials if t.kind == "reproduction" and self.best and t.parameters != self.best.parameters
        ]
        if overtaken:
            marks.append(f"{len(overtaken)} reproductions of a setting that a later trial beat are not counted")
        failed = [t for t in self.trials if t.kind == "reproduction" and t.state == "failed"]
        if failed:
            tried = sum(t.kind == "reproduction" and t.state != "running" for t in self.trials)
            marks.append(f"{len(failed)} of {tried} reproductions failed and are in no mean")
        samples = {row.sample for row in self.summaries}
        if "best_trial" in samples:
            marks.append("the selected trial itself, no reproductions")
        if "include_best" in samples:
            marks.append("mean includes the selected trial (include_best)")
        return marks


def results_of(store: Store, name: str) -> ExperimentResults:
    """Read an experiment. Raises :class:`UserError` if the store has none of that name."""
    experiment = store.experiment(name)
    if experiment is None:
        known = [row.name for row in store.experiments()]
        raise UserError(f"The results store has no experiment named {name!r}.", near=nearest(name, known))
    trials = tuple(store.trials(experiment.id))
    runs = {trial.id: tuple(store.runs(trial.id)) for trial in trials}
    evaluations = {trial.id: tuple(store.evaluations(trial.id)) for trial in trials}
    environments = tuple(store.environments(experiment.id))
    summaries = tuple(store.summaries(experiment.id))
    found = ExperimentResults(experiment, trials, runs, evaluations, summaries, environments, {})
    curves = {
        run.fold: (tuple(store.measurements(run.id)), tuple(store.losses(run.id)))
        for run in (runs[found.shown.id] if found.shown else ())
    }
    return replace(found, curves=curves)
