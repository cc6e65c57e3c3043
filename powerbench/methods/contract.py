"""What the training loop asks of a method, and what it gives to one.

A method is what is being compared: losses, miners, heads, batch composition, and
whatever else changes a training step. The loop (:mod:`powerbench.training.loop`)
knows no method by name. A method is one class in one file of this package (or of
a user's own), found by its name in the config key ``trainer``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor, nn

from powerbench.config.about_method import AboutMethod
from powerbench.config.schema import ExperimentConfig
from powerbench.methods.plain_state import load_plain_state, plain_state

Outputs = Mapping[str, Tensor]
"""What a trunk gives for one batch, by output name; ``pooled`` (B x width) always exists."""

Part = Literal["train", "held_out"]
"""The items a method may embed: the training part, or those of it that it holds out (:class:`Needs`).
There is no name for the validation and test splits: only the loop and the evaluation open them."""


@dataclass(frozen=True)
class Needs:
    """What a method needs of the loop beside one augmented view and the trunk's pooled features.

    ``views``: how many; where the config has recipes of views (``transforms/augmentation1``, ...), as many as those.
    ``held_out``: positions in the training part that the configured sampler must not draw.
    """

    views: int = 1
    trunk_outputs: tuple[str, ...] = ("pooled",)
    held_out: np.ndarray | None = None


@dataclass(frozen=True)
class FoldFacts:
    """What a method may know when it is built.

    ``widths``: width of each trunk output. ``labels``: one dense label (0 .. classes-1) per
    training item, in the order of the training part. ``class_names``: name of each dense label.
    ``embedder_seed``: the seed for :func:`powerbench.models.building.build_embedder`, so that all
    methods of a comparison start from the same embedder.
    """

    widths: Mapping[str, int]
    labels: np.ndarray
    class_names: tuple[str, ...]
    embedder_seed: int

    @property
    def classes(self) -> int:
        """The number of training classes."""
        return len(self.class_names)


@dataclass(frozen=True)
class PlannedBatch:
    """Positions in the training part that make up one batch, and a mark the method gives it."""

    positions: np.ndarray
    tag: str = ""


@dataclass(frozen=True)
class Batch:
    """One batch, on the device: ``positions`` and ``labels`` (B), ``inputs`` (one tensor a view)."""

    positions: Tensor
    labels: Tensor
    inputs: tuple[Tensor, ...]
    tag: str
    epoch: int
    iteration: int


@dataclass(frozen=True)
class Update:
    """One optimiser step: named losses (scalars), their weights, and which optimisers step.

    The loop minimises ``sum(weights.get(name, 1) * loss)``. ``optimizers`` names modules
    (``trunk``, ``embedder``, ...); ``None`` means all of them. Gradients that reach modules
    not named are discarded. The graph is freed after the update: a method that yields several
    for one batch detaches the trunk's outputs, or runs the trunk again, for all but one of them.
    """

    losses: Mapping[str, Tensor]
    weights: Mapping[str, float] = field(default_factory=dict)
    optimizers: tuple[str, ...] | None = None


class Context(Protocol):
    """What the loop offers a method during an epoch (from ``plan_epoch`` until ``end_epoch``)."""

    epoch: int
    iterations: int
    batch_size: int

    def sampler_plan(self, positions: np.ndarray | None = None, batches: int | None = None) -> list[PlannedBatch]:
        """Batches of the configured sampler, an epoch's worth by default.

        ``positions`` restricts it to a subset of the training part (a cluster, say); the batches
        hold positions in the whole training part either way.
        """

    def embed(self, part: Part = "train", output: str | None = None) -> Tensor:
        """Un-augmented outputs of a part: N x D float32 on the CPU, in item order, evaluation mode, no gradient.

        ``output`` names one of :meth:`Method.embeddings` or one of the trunk's outputs; ``None``
        means the default embedding.
        """

    def generator(self, purpose: str) -> np.random.Generator:
        """Randomness that depends on the run's seed, the epoch and ``purpose`` only."""


class Method(Protocol):
    """A way of training. Build: ``Name(config, facts, trunk, **own_arguments)``, inside a seeded block.

    ``modules`` holds all that it learns or remembers (heads, proxies, momentum copies, queues as
    buffers) and is checkpointed whole. ``modules["embedder"]`` holds everything that
    :meth:`embeddings` uses: it alone is kept, with the trunk, when training ends. The trunk
    belongs to the loop; a method may keep a reference for forward passes of its own.

    A class that names this protocol as its base has the usual answers, those given here, to all but
    :meth:`losses` and :meth:`embeddings`.
    """

    modules: nn.ModuleDict
    needs: Needs

    @staticmethod
    def check(config: ExperimentConfig) -> AboutMethod:
        """Asked of the class, which need not have it, before anything is built.

        Raises UserError, with a slash path of the config as ``where``, for a config that does not fit the method.
        """
        return AboutMethod()

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters by module name; ``X`` is trained by the optimiser ``X_optimizer``.

        Asked again after each ``plan_epoch``: a group whose parameters were exchanged gets a new optimiser.
        """
        return module_parameters(self.modules)

    def plan_epoch(self, context: Context) -> Sequence[PlannedBatch]:
        """The batches of this epoch."""
        return context.sampler_plan()

    def losses(self, batch: Batch, outputs: Sequence[Outputs]) -> Iterator[Update]:
        """The updates for one batch; ``outputs`` holds the trunk's outputs, one mapping a view.

        A generator: the loop takes the optimiser steps of an update before it asks for the next.
        """
        ...

    def after_step(self, batch: Batch) -> None:
        """Called once per batch after its last update (momentum copies, queues)."""
        return

    def end_epoch(self, context: Context) -> None:
        """Called after the epoch's last batch."""
        return

    def embeddings(self, outputs: Outputs) -> dict[str, Tensor]:
        """Embeddings by name; the first is the one that is measured. Not normalised."""
        ...

    def state(self) -> dict[str, Any]:
        """Plain values (numbers, strings, lists, dicts, tensors) to checkpoint beside the modules.

        Usually what losses and miners hold outside of their parameters and buffers.
        """
        return plain_state(self.modules)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state` gave. Called before the modules are loaded, which it may rebuild."""
        load_plain_state(self.modules, state)


def module_parameters(modules: nn.ModuleDict) -> dict[str, list[nn.Parameter]]:
    """The usual answer of :meth:`Method.param_groups`: trainable parameters, module by module."""
    groups = {name: [p for p in module.parameters() if p.requires_grad] for name, module in modules.items()}
    return {name: parameters for name, parameters in groups.items() if parameters}


__all__ = [
    "AboutMethod",
    "Batch",
    "Context",
    "FoldFacts",
    "Method",
    "Needs",
    "Outputs",
    "Part",
    "PlannedBatch",
    "Update",
    "module_parameters",
]
