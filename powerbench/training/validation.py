"""Measuring a fold run on its validation part while it is trained."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError
from powerbench.evaluation.embedding import POOLED, embed
from powerbench.evaluation.opening import FoldRun
from powerbench.evaluation.splits import VAL, measure_split, train_or_val
from powerbench.jobs import TRAINED, UNTRAINED_EPOCHS, UNTRAINED_TRUNK, UNTRAINED_TRUNK_AND_EMBEDDER, Measurement
from powerbench.training.history import History


def measure_untrained(config: ExperimentConfig, run: FoldRun, history: History, poll: Callable[[], None]) -> None:
    """The baselines: the trunk's own features (epoch -1), and the untrained embedder (epoch 0, the first best)."""
    output = POOLED if config.tester.use_trunk_output else None
    found = _embed(config, run, (POOLED, output), poll)
    _record(config, run, history, UNTRAINED_TRUNK, UNTRAINED_EPOCHS[UNTRAINED_TRUNK], found[POOLED])
    weights = UNTRAINED_TRUNK_AND_EMBEDDER
    value = _record(config, run, history, weights, UNTRAINED_EPOCHS[weights], found[output])
    history.set_best(0, value, best_weights(run))


def validate(config: ExperimentConfig, run: FoldRun, history: History, epoch: int, poll: Callable[[], None]) -> float:
    """Measure the weights of ``epoch`` and keep them if they are the best so far; returns the primary metric."""
    output = POOLED if config.tester.use_trunk_output else None
    found = _embed(config, run, (output,), poll)
    value = _record(config, run, history, TRAINED, epoch, found[output])
    history.last_measured = epoch
    if history.is_best(value):
        history.set_best(epoch, value, best_weights(run, history.best_weights))
    return value


def best_weights(run: FoldRun, earlier: dict[str, dict[str, Tensor]] | None = None) -> dict[str, dict[str, Tensor]]:
    """Copies, on the CPU, of the weights that training changes and evaluation needs; in place of ``earlier`` ones."""
    now = {name: run.module(name).state_dict() for name in run.trained_modules}
    for name, state in now.items():
        into = (earlier or {}).get(name, {})
        for key, value in state.items():
            if key in into and into[key].shape == value.shape and into[key].dtype == value.dtype:
                state[key] = into[key].copy_(value)
            else:
                state[key] = value.detach().to("cpu", copy=True)
    return now


def _embed(
    config: ExperimentConfig, run: FoldRun, outputs: tuple[str | None, ...], poll: Callable[[], None]
) -> dict[str | None, Tensor]:
    size = config.tester.batch_size
    return embed(run.model, run.inputs, run.fold.val, batch_size=size, outputs=outputs, poll=poll)


def _record(
    config: ExperimentConfig, run: FoldRun, history: History, weights: str, epoch: int, embeddings: Tensor
) -> float:
    """Note every metric of the validation part; returns the primary one."""
    split = train_or_val(run.fold, VAL)
    values = measure_split(config, run.data.dataset.index, split, embeddings, pca=config.tester.pca)
    history.measurements += [Measurement(VAL, epoch, weights, metric, value) for metric, value in values.items()]
    value = next(iter(values.values()))
    if math.isnan(value):
        raise UserError(f"the validation part of {run.fold.name} cannot be measured: no class has two items there.")
    return value
