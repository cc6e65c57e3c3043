"""Learning without labels: several random views of an image belong together, those of different images do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from powerbench.config.schema import ExperimentConfig
from powerbench.data.samplers.random_sampler import RandomSampler
from powerbench.errors import UserError
from powerbench.methods.checking import check_names, idle_layers, own_miners
from powerbench.methods.contract import (
    AboutMethod,
    Batch,
    Context,
    FoldFacts,
    Method,
    Needs,
    Outputs,
    PlannedBatch,
    Update,
)
from powerbench.methods.metric_losses import MetricLosses, in_full_precision, pooled_embedder


class UnsupervisedEmbeddingsUsingAugmentations(Method):
    """The metric losses (:class:`MetricLosses`) of all views of a batch, where each item is a class of its own.

    The recipes ``transforms/augmentation1``, ``augmentation2``, ... (two or more) make one view each; a batch of
    ``batch_size`` items gives that many embeddings a view, and the losses see all of them together, with the items'
    numbers as labels: ``num_classes`` is the number of training items. Batches are cut from shuffled passes over the
    items; ``sampler`` has no effect, since labels are not looked at (it is said when the config is checked).
    The embedder's raw output of un-augmented images is measured, and all that is kept.

    Source: powerful-benchmarker 0.9.33 and the trainer of that name in pytorch-metric-learning. There the labels were
    the places in the batch: the same for losses of one batch, but a loss that remembers earlier batches took items of
    equal places for the same.
    """

    def __init__(self, config: ExperimentConfig, facts: FoldFacts, trunk: nn.Module) -> None:
        self.check(config)
        embedder, size = pooled_embedder(config, facts)
        self.needs = Needs(views=len(config.transforms.of_views()))
        self.metric_losses = MetricLosses(config, len(facts.labels), size)
        self.weights = dict(config.trainer.loss_weights or {})
        self.modules = nn.ModuleDict({"embedder": embedder, **self.metric_losses.modules()})
        self.sampler = RandomSampler(np.zeros_like(facts.labels), config.trainer.batch_size)

    @staticmethod
    def check(config: ExperimentConfig) -> AboutMethod:
        """Names and kinds of losses and miners; whether there are views."""
        names = list(config.loss_funcs)
        check_names(config, names, miners=own_miners(names))
        if len(config.transforms.of_views()) < 2:
            what = (
                f"{config.trainer.name} compares two or more views of an image, each made by a recipe of its own, "
                "augmentation1, augmentation2, ...; --config_transforms [default, unsupervised] has three."
            )
            raise UserError(what, where="transforms")
        drawn = f"sampler has no effect: {config.trainer.name} draws items at random, without labels."
        return AboutMethod(
            remarks=(*((drawn,) if config.sampler.name != "RandomSampler" else ()), *idle_layers(config))
        )

    def plan_epoch(self, context: Context) -> Sequence[PlannedBatch]:
        """Batches of items drawn without regard to labels."""
        return [PlannedBatch(places) for places in self.sampler.plan(context.iterations, context.generator("items"))]

    def losses(self, batch: Batch, outputs: Sequence[Outputs]) -> Iterator[Update]:
        """One update for all modules."""
        embeddings = torch.cat([self.modules["embedder"](view["pooled"]) for view in outputs])
        items = batch.positions.repeat(len(outputs))
        with in_full_precision(embeddings):
            losses = self.metric_losses.of(*self.metric_losses.reduced(embeddings.float(), items))
        yield Update(losses, self.weights)

    def embeddings(self, outputs: Outputs) -> dict[str, Tensor]:
        """The embedder's output."""
        return {"embedding": self.modules["embedder"](outputs["pooled"])}
