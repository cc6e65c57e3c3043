"""Classifiers on embeddings: heads that train them to tell the training classes apart, and are then left behind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor, nn

from powerbench.classes import build
from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError, nearest
from powerbench.methods.checking import CLASSIFIER, CLASSIFIER_LOSS, OF_CLASSIFIER, ON_SCORES, require_model
from powerbench.methods.metric_losses import MetricLosses
from powerbench.models.building import build_head


@dataclass(frozen=True)
class Classifier:
    """A model from embeddings (B x D) to the scores of the training classes (B x classes), and the loss of these."""

    model: nn.Module
    loss: nn.Module

    def __call__(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch."""
        value: Tensor = self.loss(self.model(embeddings), labels)
        return value


class LossesWithClassifier:
    """:class:`MetricLosses` called ``names``, and a classifier of the same embeddings if the config has one."""

    def __init__(self, config: ExperimentConfig, classes: int, embedding_size: int, names: Collection[str]) -> None:
        self.metric_losses = MetricLosses(config, classes, embedding_size, names)
        self.classifier = build_classifier(config, embedding_size, classes)

    def modules(self) -> dict[str, nn.Module]:
        """Losses, miners and classifier by name."""
        own = (
            {}
            if self.classifier is None
            else {CLASSIFIER: self.classifier.model, CLASSIFIER_LOSS: self.classifier.loss}
        )
        return {**self.metric_losses.modules(), **own}

    def of(self, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Each loss of a batch (embeddings B x D in float32, labels B)."""
        found = self.metric_losses.of(embeddings, labels)
        return found if self.classifier is None else {**found, CLASSIFIER_LOSS: self.classifier(embeddings, labels)}


def classifier_names(config: ExperimentConfig, suffix: str = "") -> tuple[str, str] | None:
    """The names of model and loss, if the config has that loss: ``classifier<suffix>``, ``classifier_loss<suffix>``.

    Raises UserError for a loss that is none of :data:`ON_SCORES`, or that has no model, or the model no optimiser. A
    model without its loss is idle, as it was in powerful-benchmarker.
    """
    model, loss = f"{CLASSIFIER}{suffix}", f"{CLASSIFIER_LOSS}{suffix}"
    if loss not in config.loss_funcs:
        return None
    spec = config.loss_funcs[loss]
    if spec.name not in ON_SCORES:
        what = f"{loss} compares the scores of classes, which {spec.name} does not; there are {', '.join(ON_SCORES)}."
        raise UserError(what, where=f"loss_funcs/{loss}", near=nearest(spec.name, ON_SCORES))
    require_model(config, model, OF_CLASSIFIER)
    return model, loss


def build_classifier(config: ExperimentConfig, size: int, classes: int, suffix: str = "") -> Classifier | None:
    """The configured classifier of embeddings of ``size`` dimensions; None if there is no loss for one."""
    names = classifier_names(config, suffix)
    if names is None:
        return None
    model, loss = names
    models = config.models.__pydantic_extra__ or {}
    return Classifier(build_head(models[model], size, classes), build("loss", config.loss_funcs[loss]))


def idle_classifier(config: ExperimentConfig) -> tuple[str, ...]:
    """The remark of a method that would train a classifier, but has none, or none with a loss."""
    if classifier_names(config) is not None:
        return ()
    there = CLASSIFIER in (config.models.__pydantic_extra__ or {})
    what = f"models/{CLASSIFIER} has no {CLASSIFIER_LOSS} and is left out" if there else "there is no classifier"
    return (f"{config.trainer.name} trains with its other losses only: {what}. To have one: {OF_CLASSIFIER}.",)
