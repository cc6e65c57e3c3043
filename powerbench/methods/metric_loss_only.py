"""Train trunk and embedder with one or more metric losses: the method of "A Metric Learning Reality Check"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from powerbench.classes import build
from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError, nearest
from powerbench.methods.contract import (
    Batch,
    Context,
    FoldFacts,
    Needs,
    Outputs,
    PlannedBatch,
    Update,
    module_parameters,
)
from powerbench.methods.plain_state import load_plain_state, plain_state
from powerbench.models.building import build_embedder

WITHOUT_LABELS = ("ManifoldLoss", "SelfSupervisedLoss", "VICRegLoss")
"""Losses of the library that take no labels, or a second batch in their place."""

SUBSET_MINER, SHARED_MINER = "subset_batch_miner", "tuple_miner"


class MetricLossOnly:
    """Weighted sum of the losses of ``loss_funcs``, each with its miner of ``mining_funcs``.

    A loss or miner is any class of pytorch-metric-learning, or one that is called like it: losses
    ``(embeddings, labels, indices_tuple)``, miners ``(embeddings, labels)``. ``tuple_miner`` serves
    every loss without a miner of its own, ``<loss name>_miner`` serves that loss, and
    ``subset_batch_miner`` first reduces the batch to the places it returns. Losses get the embedder's raw
    output in float32 (the library's distances normalise by default), the number of training classes and
    the embedding size if they accept them. ``trainer.loss_weights`` weighs them (1 by default).

    Raises UserError for unknown names among the miners and weights, for a loss named like another
    module, for one that takes no labels, and for an ``embedding_size`` that is not the embedder's.
    """

    def __init__(self, config: ExperimentConfig, facts: FoldFacts, trunk: nn.Module) -> None:
        width = facts.widths["pooled"]
        embedder = build_embedder(config, width, seed=facts.embedder_seed)
        self.needs = Needs()
        self.losses_by_name = build_losses(config, facts.classes, output_size(embedder, width))
        self.miners_by_name: dict[str, Any] = {name: build("miner", spec) for name, spec in config.mining_funcs.items()}
        _check_names(config)
        self.weights = dict(config.trainer.loss_weights or {})
        parts = {"embedder": embedder, **self.losses_by_name, **self.miners_by_name}
        self.modules = nn.ModuleDict({name: part for name, part in parts.items() if isinstance(part, nn.Module)})

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """The embedder's parameters, and those of each loss that has any."""
        return module_parameters(self.modules)

    def plan_epoch(self, context: Context) -> Sequence[PlannedBatch]:
        """The configured sampler's batches."""
        return context.sampler_plan()

    def losses(self, batch: Batch, outputs: Sequence[Outputs]) -> Iterator[Update]:
        """One update for all modules."""
        embeddings = self.modules["embedder"](outputs[0]["pooled"])
        with torch.autocast(embeddings.device.type, enabled=False):
            losses = self._losses(embeddings.float(), batch.labels)
        yield Update(losses, self.weights)

    def _losses(self, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        miners = self.miners_by_name
        if SUBSET_MINER in miners:
            kept = miners[SUBSET_MINER](embeddings, labels)
            embeddings, labels = embeddings[kept], labels[kept]
        shared = miners[SHARED_MINER](embeddings, labels) if SHARED_MINER in miners else None
        losses = {}
        for name, loss in self.losses_by_name.items():
            own = miners.get(f"{name}_miner")
            losses[name] = loss(embeddings, labels, own(embeddings, labels) if own else shared)
        return losses

    def after_step(self, batch: Batch) -> None:
        """Nothing: the losses keep their own queues."""

    def end_epoch(self, context: Context) -> None:
        """Nothing."""

    def embeddings(self, outputs: Outputs) -> dict[str, Tensor]:
        """The embedder's output."""
        return {"embedding": self.modules["embedder"](outputs["pooled"])}

    def state(self) -> dict[str, Any]:
        """What losses and miners hold outside of their parameters and buffers."""
        return plain_state(self.modules)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore it."""
        load_plain_state(self.modules, state)


def build_losses(config: ExperimentConfig, classes: int, embedding_size: int) -> dict[str, Any]:
    """The losses of ``loss_funcs`` for a fold with so many training classes."""
    for name, spec in config.loss_funcs.items():
        if spec.name in WITHOUT_LABELS:
            raise UserError(f"{spec.name} does not learn from labels, as this method does.", where=f"loss_funcs/{name}")
        given = spec.args.get("embedding_size", embedding_size)
        if given != embedding_size:
            raise UserError(
                f"{spec.name} is given embedding_size {given}, but the embedder's output has {embedding_size} "
                "dimensions (the argument may be left out).",
                where=f"loss_funcs/{name}",
            )
    sizes = {"num_classes": classes, "embedding_size": embedding_size}
    return {name: build("loss", spec, **sizes) for name, spec in config.loss_funcs.items()}


def output_size(embedder: nn.Module, width: int) -> int:
    """The number of dimensions an embedder gives for features of ``width`` dimensions."""
    was_training = embedder.training
    embedder.eval()
    with torch.no_grad():
        size = int(embedder(torch.zeros(1, width)).shape[1])
    embedder.train(was_training)
    return size


def _check_names(config: ExperimentConfig) -> None:
    losses = list(config.loss_funcs)
    miners = [SHARED_MINER, SUBSET_MINER, *(f"{name}_miner" for name in losses)]
    for name in config.mining_funcs:
        if name not in miners:
            raise UserError(
                f"no loss uses a miner of the name {name!r}; the names are {', '.join(miners)}.",
                where="mining_funcs",
                near=nearest(name, miners),
            )
    for name in config.trainer.loss_weights or {}:
        if name not in losses:
            raise UserError(f"there is no loss {name!r}.", where="trainer/loss_weights", near=nearest(name, losses))
    for name in losses:
        if name in ("trunk", "embedder", *config.mining_funcs):
            raise UserError(f"{name!r} is the name of another module.", where="loss_funcs")
