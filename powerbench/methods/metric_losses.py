"""The losses and miners of a config on a batch's embeddings: what most methods have in common."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from powerbench.classes import build
from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError
from powerbench.methods.checking import SHARED_MINER, SUBSET_MINER, refuse_unsuitable
from powerbench.methods.contract import FoldFacts
from powerbench.models.building import build_embedder


class MetricLosses:
    """Losses of ``loss_funcs``, each with its miner of ``mining_funcs``.

    A loss or miner is any class of pytorch-metric-learning, or one that is called like it: losses
    ``(embeddings, labels, indices_tuple)``, miners ``(embeddings, labels)``. ``tuple_miner`` serves every loss without
    a miner of its own, ``<loss name>_miner`` serves that loss, and ``subset_batch_miner`` first reduces the batch to
    the places it returns. Losses get the number of training classes and the embedding size if they accept them.

    names: those that are metric losses (all of them unless given). Raises UserError for a loss that takes no labels,
    and for an ``embedding_size`` that is not the embedder's.
    """

    def __init__(
        self, config: ExperimentConfig, classes: int, embedding_size: int, names: Collection[str] | None = None
    ) -> None:
        self.losses = build_losses(config, classes, embedding_size, names)
        self.miners: dict[str, Any] = {name: build("miner", spec) for name, spec in config.mining_funcs.items()}

    def modules(self) -> dict[str, nn.Module]:
        """Losses and miners that are modules, by name."""
        parts = {**self.losses, **self.miners}
        return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}

    def reduced(self, embeddings: Tensor, labels: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """All given tensors with the rows that ``subset_batch_miner`` keeps; with all rows if there is none."""
        if SUBSET_MINER not in self.miners:
            return embeddings, labels, *more
        kept = self.miners[SUBSET_MINER](embeddings, labels)
        return tuple(tensor[kept] for tensor in (embeddings, labels, *more))

    def of(self, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Each loss of a batch (embeddings B x D in float32, labels B)."""
        shared = self.miners[SHARED_MINER](embeddings, labels) if SHARED_MINER in self.miners else None
        found = {}
        for name, loss in self.losses.items():
            own = self.miners.get(f"{name}_miner")
            found[name] = loss(embeddings, labels, own(embeddings, labels) if own else shared)
        return found


def build_losses(
    config: ExperimentConfig, classes: int, embedding_size: int, names: Collection[str] | None = None
) -> dict[str, Any]:
    """The losses of ``loss_funcs`` (or those of them in ``names``) for a fold with so many training classes."""
    chosen = {name: spec for name, spec in config.loss_funcs.items() if names is None or name in names}
    for name, spec in chosen.items():
        refuse_unsuitable(name, spec)
        given = spec.args.get("embedding_size", embedding_size)
        if given != embedding_size:
            raise UserError(
                f"{spec.name} is given embedding_size {given}, but the embedder's output has {embedding_size} "
                "dimensions (the argument may be left out).",
                where=f"loss_funcs/{name}",
            )
    sizes = {"num_classes": classes, "embedding_size": embedding_size}
    return {name: build("loss", spec, **sizes) for name, spec in chosen.items()}


def pooled_embedder(config: ExperimentConfig, facts: FoldFacts) -> tuple[nn.Module, int]:
    """The embedder of the trunk's pooled features, and the size of its output."""
    width = facts.widths["pooled"]
    embedder = build_embedder(config, width, seed=facts.embedder_seed)
    return embedder, output_size(embedder, width)


def output_size(embedder: nn.Module, width: int) -> int:
    """The number of dimensions an embedder gives for features of ``width`` dimensions."""
    was_training = embedder.training
    embedder.eval()
    with torch.no_grad():
        size = int(embedder(torch.zeros(1, width)).shape[1])
    embedder.train(was_training)
    return size


def in_full_precision(tensor: Tensor) -> torch.autocast:
    """While this lasts, nothing on the tensor's device is computed in reduced precision: losses are not."""
    return torch.autocast(tensor.device.type, enabled=False)
