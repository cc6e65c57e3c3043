"""Trained fold models on the splits asked for: one by one (``separate``), and joined (``concatenated``).

Each model and split is embedded once and serves both. Joined are the splits that are the same in all folds,
the test sets: every fold's embedding is L2-normalised (``ensemble.normalize_embeddings``), they are put side
by side, and normalised again as ``tester.normalize_embeddings`` says; without PCA. The training and validation
parts differ from fold to fold, so they are measured separately only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from powerbench.config.schema import ExperimentConfig
from powerbench.environment import environment
from powerbench.errors import UserError
from powerbench.evaluation.embedding import POOLED, check_finite, embed, normalized
from powerbench.evaluation.failures import failure_of
from powerbench.evaluation.model import choose_device, use_threads
from powerbench.evaluation.opening import Data, FoldRun, open_data, open_fold_run
from powerbench.evaluation.splits import Split, measure_split, split_of
from powerbench.evaluation.stopping import poller
from powerbench.evaluation.weights import load_best
from powerbench.jobs import (
    CONCATENATED,
    SEPARATE,
    TRAINED,
    UNTRAINED_EPOCHS,
    UNTRAINED_TRUNK,
    UNTRAINED_TRUNK_AND_EMBEDDER,
    WEIGHTS,
    ConcatenatedValue,
    EvaluateJob,
    EvaluateResult,
    Failure,
    FoldModel,
    SeparateValue,
)
from powerbench.models.trunk import RANDOM


@dataclass
class Evaluation:
    """An evaluation under way. ``joined``: for each split and weights, the folds' normalised embeddings so far."""

    job: EvaluateJob
    config: ExperimentConfig
    data: Data
    report: Callable[[str], None]
    poll: Callable[[], None]
    separate: list[SeparateValue] = field(default_factory=list)
    concatenated: list[ConcatenatedValue] = field(default_factory=list)
    joined: dict[tuple[str, str], list[Tensor]] = field(default_factory=dict)
    trunks: set[str] = field(default_factory=set)


def evaluate_models(
    job: EvaluateJob,
    *,
    report: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> EvaluateResult:
    """Measure a trial's fold models on ``job.splits``, with their trained and (if configured) untrained weights.

    ``report`` receives lines of progress; ``should_stop`` is asked before every batch, and Stopped raised
    once it says so. Embeddings that are not finite and lack of memory come back as ``failure``. Raises
    UserError if weights are missing, for an unknown split, and if no split asked for can be concatenated.
    """
    started = time.monotonic()
    config = ExperimentConfig.from_plain(job.config)
    use_threads(config.threads_per_run)
    data = open_data(config, job.places)
    _check_splits(job, data)
    evaluation = Evaluation(job, config, data, report or (lambda line: None), poller(should_stop))
    failure: Failure | None = None
    try:
        for model in job.models:
            _evaluate_fold(evaluation, model)
        _measure_joined(evaluation)
    except Exception as error:  # failure_of raises again what says nothing about the models
        failure = failure_of(error, ())
    return EvaluateResult(
        separate=tuple(evaluation.separate),
        concatenated=tuple(evaluation.concatenated),
        seconds=time.monotonic() - started,
        environment=environment(choose_device(config), config.threads_per_run),
        failure=failure,
    )


def _evaluate_fold(evaluation: Evaluation, model: FoldModel) -> None:
    """One fold's model with its untrained weights, then with the trained ones; it is let go of at the end."""
    config, job = evaluation.config, evaluation.job
    with open_fold_run(config, job.places, evaluation.data, model.fold, model.seed) as run:
        splits = [split_of(run.fold, name) for name in job.splits]
        if config.check_untrained_accuracy:
            for split in splits:
                _evaluate(evaluation, run, model, split, (UNTRAINED_TRUNK, UNTRAINED_TRUNK_AND_EMBEDDER))
        load_best({name: run.module(name) for name in run.trained_modules}, model.folder)
        for split in splits:
            _evaluate(evaluation, run, model, split, (TRAINED,))
        evaluation.trunks.add(run.weights_hash)


def _evaluate(evaluation: Evaluation, run: FoldRun, model: FoldModel, split: Split, weights: tuple[str, ...]) -> None:
    """Embed a split once with the model's present weights, for both modes."""
    config, modes = evaluation.config, evaluation.job.modes
    tested = {name: _output(name, config.tester.use_trunk_output) for name in weights}
    joined = {name: _output(name, config.ensemble.use_trunk_output) for name in weights}
    wanted = [*tested.values(), *joined.values()]
    size = config.tester.batch_size
    found = embed(run.model, run.inputs, split.items, batch_size=size, outputs=wanted, poll=evaluation.poll)
    for name in weights:
        if SEPARATE in modes:
            _measure_separate(evaluation, model, split, name, found[tested[name]])
        if CONCATENATED in modes and split.shared and not _repeats(evaluation, run, name):
            parts = evaluation.joined.setdefault((split.name, name), [])
            parts.append(_part(config, found[joined[name]]))


def _measure_separate(evaluation: Evaluation, model: FoldModel, split: Split, weights: str, embeddings: Tensor) -> None:
    config = evaluation.config
    values = measure_split(config, evaluation.data.dataset.index, split, embeddings, pca=config.tester.pca)
    epoch = UNTRAINED_EPOCHS.get(weights, model.best_epoch)
    for metric, value in values.items():
        evaluation.separate.append(SeparateValue(model.fold, split.name, epoch, weights, metric, value))
    metric, value = next(iter(values.items()))
    evaluation.report(f"fold {model.fold}, {weights}: {metric} {value:.4f} on {split.name}")


def _measure_joined(evaluation: Evaluation) -> None:
    """Measure the folds' embeddings side by side."""
    index, first = evaluation.data.dataset.index, evaluation.job.models[0]
    for weights in WEIGHTS:
        for name in evaluation.job.splits:
            if (name, weights) in evaluation.joined:
                split = split_of(evaluation.data.fold(first.fold), name)
                embeddings = torch.cat(evaluation.joined.pop((name, weights)), dim=1)
                values = measure_split(evaluation.config, index, split, embeddings, pca=None)
                rows = [ConcatenatedValue(name, weights, metric, value) for metric, value in values.items()]
                evaluation.concatenated += rows
                evaluation.report(f"concatenated, {weights}: {rows[0].metric} {rows[0].value:.4f} on {name}")


def _repeats(evaluation: Evaluation, run: FoldRun, weights: str) -> bool:
    """Whether this is the untrained trunk of a fold before: joining copies of an embedding changes no distance."""
    return weights == UNTRAINED_TRUNK and run.weights_hash in evaluation.trunks - {RANDOM}


def _part(config: ExperimentConfig, embeddings: Tensor) -> Tensor:
    check_finite(embeddings)
    return normalized(embeddings) if config.ensemble.normalize_embeddings else embeddings


def _output(weights: str, use_trunk_output: bool) -> str | None:
    return POOLED if weights == UNTRAINED_TRUNK or use_trunk_output else None


def _check_splits(job: EvaluateJob, data: Data) -> None:
    splits = [split_of(data.fold(model.fold), name) for model in job.models for name in job.splits]
    if tuple(job.modes) == (CONCATENATED,) and not any(split.shared for split in splits):
        raise UserError(
            f"the folds' embeddings of {' and '.join(job.splits)} cannot be concatenated, as every fold has its own "
            "items there. Test splits can: --splits_to_eval [test].",
            where="splits_to_eval",
        )
