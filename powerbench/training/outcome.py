"""From a history to the result that leaves the process."""

from __future__ import annotations

import math

from powerbench.config.schema import ExperimentConfig
from powerbench.environment import environment
from powerbench.evaluation.model import choose_device
from powerbench.evaluation.opening import FoldRun
from powerbench.jobs import Failure, TrainResult
from powerbench.training.history import History
from split_managers.contract import Fold


def result_of(run: FoldRun, config: ExperimentConfig, history: History, failure: Failure | None) -> TrainResult:
    """The result of a run that ended, well or with ``failure``. Without any measured epoch its value is NaN."""
    measured = history.best_epoch is not None
    return TrainResult(
        fold_name=run.fold.name,
        split_checksum=run.fold.checksum(),
        best_epoch=history.best_epoch or 0,
        best_value=history.best_value if measured else math.nan,
        epochs=history.epoch,
        iterations=history.iterations,
        seconds=history.seconds,
        model_seconds=run.model.clock.seconds,
        measurements=tuple(history.measurements),
        losses=tuple(history.losses),
        environment=describe(run, config),
        failure=failure,
    )


def unopened_result(fold: Fold, config: ExperimentConfig, failure: Failure, seconds: float) -> TrainResult:
    """The result of a run that failed before its first epoch could begin."""
    return TrainResult(
        fold_name=fold.name,
        split_checksum=fold.checksum(),
        best_epoch=0,
        best_value=math.nan,
        epochs=0,
        iterations=0,
        seconds=seconds,
        model_seconds=0.0,
        measurements=(),
        losses=(),
        environment=environment(choose_device(config), config.threads_per_run),
        failure=failure,
    )


def describe(run: FoldRun, config: ExperimentConfig) -> dict[str, object]:
    """The environment of a fold run, with its trunk's initial weights."""
    computed_with = environment(run.model.device, config.threads_per_run)
    return {**computed_with, "trunk": run.trunk_identity, "weights": run.weights_hash}
