"""Metric losses together with a classifier of the training classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from powerbench.config.schema import ExperimentConfig
from powerbench.methods.checking import (
    CLASSIFIER,
    CLASSIFIER_LOSS,
    check_names,
    idle_layers,
    own_miners,
)
from powerbench.methods.classifier import LossesWithClassifier, classifier_names, idle_classifier
from powerbench.methods.contract import AboutMethod, Batch, FoldFacts, Method, Needs, Outputs, Update
from powerbench.methods.metric_losses import in_full_precision, pooled_embedder


class TrainWithClassifier(Method):
    """Weighted sum of the metric losses of the embeddings and of ``classifier_loss`` of a classifier on them.

    ``models/classifier`` maps the embedder's raw output to one score a training class (``MLP: {layer_sizes: []}`` is
    one linear layer); ``classifier_loss`` is torch's CrossEntropyLoss or MultiMarginLoss of these scores. All other
    entries of ``loss_funcs`` are metric losses (:class:`MetricLosses`); there may be none. ``subset_batch_miner``
    reduces the batch for both. The embedding is measured; the classifier is not kept when training ends.

    Without ``classifier_loss`` there is no classifier, and this is MetricLossOnly, as in powerful-benchmarker, whose
    ``with_classifier`` names this method and no classifier; it is said when the config is checked.

    Source: powerful-benchmarker 0.9.33 and the trainer of that name in pytorch-metric-learning.
    """

    def __init__(self, config: ExperimentConfig, facts: FoldFacts, trunk: nn.Module) -> None:
        self.check(config)
        embedder, size = pooled_embedder(config, facts)
        self.needs = Needs()
        self.all_losses = LossesWithClassifier(config, facts.classes, size, metric_names(config))
        self.weights = dict(config.trainer.loss_weights or {})
        self.modules = nn.ModuleDict({"embedder": embedder, **self.all_losses.modules()})

    @staticmethod
    def check(config: ExperimentConfig) -> AboutMethod:
        """Names and kinds of losses, miners and models; whether the classifier is whole."""
        names = metric_names(config)
        check_names(config, names, miners=own_miners(names), models=[CLASSIFIER])
        classifier_names(config)
        return AboutMethod(remarks=idle_classifier(config) + idle_layers(config))

    def losses(self, batch: Batch, outputs: Sequence[Outputs]) -> Iterator[Update]:
        """One update for all modules."""
        embeddings = self.modules["embedder"](outputs[0]["pooled"])
        with in_full_precision(embeddings):
            reduced = self.all_losses.metric_losses.reduced(embeddings.float(), batch.labels)
            losses = self.all_losses.of(*reduced)
        yield Update(losses, self.weights)

    def embeddings(self, outputs: Outputs) -> dict[str, Tensor]:
        """The embedder's output."""
        return {"embedding": self.modules["embedder"](outputs["pooled"])}


def metric_names(config: ExperimentConfig) -> list[str]:
    """The losses that compare embeddings."""
    return [name for name in config.loss_funcs if name != CLASSIFIER_LOSS]
