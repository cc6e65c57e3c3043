"""Fold runs in flight: launched through an executor, recorded in the store as they end.

A trial ends when all its folds have a result. Folds of a failing trial are run to their end all the same,
so that what is stored does not depend on the order in which results arrive.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from powerbench.driver.experiment import Experiment
from powerbench.driver.progress import Progress
from powerbench.driver.provenance import Provenance
from powerbench.driver.work import Work
from powerbench.jobs import EvaluateJob, EvaluateResult, Job, TrainResult
from powerbench.store.rows import TrialRow

AnyResult = TypeVar("AnyResult", TrainResult, EvaluateResult)


@dataclass(frozen=True)
class _Key:
    """What a job belongs to: a fold of a trial, or (no fold) the trial's evaluation."""

    trial_id: int
    fold: int | None = None


class Runs:
    """The work of one experiment that is on its way."""

    def __init__(self, experiment: Experiment, work: Work, progress: Progress) -> None:
        self.experiment = experiment
        self.work = work
        self.progress = progress
        self._provenance = Provenance(experiment)
        self._idle = True
        self._missing: dict[int, set[int]] = {}
        self._trials: dict[int, TrialRow] = {}
        self._evaluating: dict[int, TrialRow] = {}
        self.evaluation_failures = 0
        work.on_report = self._reported

    @property
    def busy(self) -> bool:
        """Whether anything is in flight."""
        return bool(self._missing or self._evaluating)

    def train(self, trial: TrialRow) -> None:
        """Launch the folds of a trial that have no result yet."""
        done = {run.fold for run in self.experiment.store.runs(trial.id) if run.state != "running"}
        missing = set(range(len(self.experiment.fold_names))) - done
        if not missing:
            self._finish(trial)
            return
        self._trials[trial.id], self._missing[trial.id] = trial, missing
        config = self.experiment.config_of(trial)
        for fold in sorted(missing):
            job = self.experiment.train_job(trial, fold, config)
            self.experiment.store.add_run(trial.id, fold, job.seed, job.folder)
            self._submit(_Key(trial.id, fold), job)

    def evaluate(self, trial: TrialRow, splits: Iterable[str], modes: Iterable[str]) -> None:
        """Launch the evaluation of a trained trial."""
        experiment = self.experiment
        self._evaluating[trial.id] = trial
        job = EvaluateJob(
            experiment.config_of(trial), experiment.models(trial), tuple(splits), tuple(modes), experiment.places
        )
        self._submit(_Key(trial.id), job)

    def _submit(self, key: _Key, job: Job) -> None:
        """Queue a job; before the first one, say if it will not be computed as the recorded runs were."""
        if self._idle:
            self._idle = False
            self._compare(self._provenance.here())
        self.work.submit(key, job)

    def _compare(self, environment: Mapping[str, Any]) -> None:
        if changes := self._provenance.changes(environment):
            self.progress.environment_changed(changes)

    def _reported(self, key: Hashable, text: str) -> None:
        assert isinstance(key, _Key)
        trial = self._trials.get(key.trial_id) or self._evaluating.get(key.trial_id)
        if trial is not None:
            self.progress.reported(trial, key.fold, text)

    def _complete(self, result: AnyResult) -> AnyResult:
        """A result with all that is known of its environment."""
        environment = self._provenance.complete(result.environment)
        self._compare(environment)
        self._provenance.remember(environment)
        return replace(result, environment=environment)

    def wait(self) -> TrialRow | None:
        """Record the next result; the trial that it completed (trained or evaluated), if it did."""
        received = self.work.next_result()
        if received is None:
            return None
        key, result = received
        assert isinstance(key, _Key)
        if isinstance(result, EvaluateResult):
            return self._record_evaluation(self._evaluating.pop(key.trial_id), result)
        assert key.fold is not None
        return self._record_run(key.trial_id, key.fold, result)

    def drain(self) -> None:
        """Record results until nothing is in flight."""
        while self.busy:
            self.wait()

    def _record_run(self, trial_id: int, fold: int, result: TrainResult) -> TrialRow | None:
        trial = self._trials[trial_id]
        self.experiment.store.finish_run(trial_id, fold, self._complete(result))
        self.progress.fold_run_done(trial, fold, self.experiment.fold_names[fold], result)
        self._missing[trial_id].discard(fold)
        if self._missing[trial_id]:
            return None
        del self._missing[trial_id], self._trials[trial_id]
        return self._finish(trial)

    def _finish(self, trial: TrialRow) -> TrialRow:
        """The trial's mean and standard error over folds, or its failure."""
        store = self.experiment.store
        runs = store.runs(trial.id)
        failed = [run for run in runs if run.state == "failed"]
        if failed:
            store.fail_trial(trial.id, failed[0].error_kind or "error", failed[0].error or "")
        else:
            values = np.array([run.best_value for run in runs], dtype=np.float64)
            sem = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
            store.finish_trial(trial.id, float(values.mean()), sem)
        finished = store.trial(trial.id)
        self.progress.trial_done(finished)
        return finished

    def _record_evaluation(self, trial: TrialRow, result: EvaluateResult) -> TrialRow:
        if result.failure is not None:
            self.evaluation_failures += 1
            self.progress.evaluation_failed(trial, result.failure)
        else:
            self.experiment.store.record_evaluation(trial.id, self._complete(result))
            self.progress.evaluated(trial, result.seconds)
        return trial
