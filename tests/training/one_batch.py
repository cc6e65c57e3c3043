"""A fold run that is trained on one batch again and again, with a look at every gradient."""

from __future__ import annotations

import torch

from powerbench.config.schema import ExperimentConfig
from powerbench.evaluation.opening import open_data, open_fold_run
from powerbench.jobs import TrainJob
from powerbench.methods.contract import Batch
from powerbench.seeding import seeded
from powerbench.training.optimizers import Optimizers


def totals_on_one_batch(job: TrainJob, steps: int = 30, epoch: int = 1) -> list[float]:
    """The sum of all updates' losses at each step on the first planned batch.

    Each trained tensor must have a finite gradient in some update that its optimiser steps on, and one that is not
    zero in some step.
    """
    config = ExperimentConfig.from_plain(job.config)
    with open_fold_run(config, job.places, open_data(config, job.places), job.fold, job.seed) as run, seeded(3):
        model, method = run.model, run.model.method
        optimizers = Optimizers(config, run.trained_parameters(), model.device)
        positions = torch.arange(0, 16)
        (views,) = run.inputs.batches([run.fold.train[positions.numpy()]], part="train", views=method.needs.views)
        labels = torch.from_numpy(run.facts.labels)[positions]
        batch = Batch(positions, labels, tuple(views), "", epoch, 0)
        model.train()
        totals, moved = [], set()
        for _ in range(steps):
            outputs = [model.trunk_outputs(view, method.needs.trunk_outputs) for view in views]
            total = 0.0
            for update in method.losses(batch, outputs):
                total += float(optimizers.step(update))
                for name in optimizers.by_module if update.optimizers is None else update.optimizers:
                    moved |= _with_gradient(name, run.trained_parameters()[name])
            totals.append(total)
        every = {(name, n) for name, group in run.trained_parameters().items() for n in range(len(group))}
    assert moved == every
    return totals


def _with_gradient(name: str, parameters: list[torch.nn.Parameter]) -> set[tuple[str, int]]:
    gradients = {n: parameter.grad for n, parameter in enumerate(parameters) if parameter.grad is not None}
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    return {(name, n) for n, gradient in gradients.items() if gradient.abs().max() > 0}
