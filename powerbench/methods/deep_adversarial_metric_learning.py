"""A generator of hard negatives, and a metric that learns to tell them apart: against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from powerbench.config.schema import ExperimentConfig
from powerbench.methods.checking import CLASSIFIER_LOSS, idle_layers
from powerbench.methods.classifier import LossesWithClassifier, idle_classifier
from powerbench.methods.contract import AboutMethod, Batch, FoldFacts, Method, Needs, Outputs, Update
from powerbench.methods.hard_negatives import ADVERSARIAL, GENERATOR, JOINT, SEPARATE, SYNTH, HardNegatives
from powerbench.methods.hard_negatives import check as check_hard_negatives
from powerbench.methods.metric_losses import in_full_precision, pooled_embedder
from powerbench.methods.triplets import random_triplets


class DeepAdversarialMetricLearning(Method):
    """Metric losses, and a generator of hard negatives for a batch's triplets of anchor a, positive p, negative n.

    ``models/generator`` maps the trunk's features of a triplet, side by side, to those of a synthetic negative s, and
    minimises (f is the metric: the embedder; d the distance of embeddings)

    * ``g_hard_loss``, the mean of ``|s - a|^2``: s is to be close to the anchor,
    * ``g_reg_loss``, the mean of ``|s - n|^2``: s is to keep what makes the negative's class,
    * ``g_adv_loss``, ``max(0, d(f(a), f(s)) - d(f(a), f(p)) - margin)``: s is to be mistaken for a positive.

    Trunk, embedder, and what else there is (proxies, ``classifier`` with ``classifier_loss``) minimise the metric
    losses, which are all other entries of ``loss_funcs``, and ``synth_loss``, a loss of the triplets (a, p, s).
    ``g_adv_loss`` is a TripletMarginLoss, computed with its positives and negatives exchanged. Each anchor has
    ``g_triplets_per_anchor`` triplets, drawn at random from the batch. The first ``metric_alone_epochs`` epochs train
    the metric alone, without ``synth_loss``; the next ``g_alone_epochs`` the generator alone. ``loss_weights`` weighs
    all of them.

    variant: ``adversarial``: each side steps on its own losses, both computed with the same weights. In
    ``powerful_benchmarker`` all losses are minimised over all weights together, as published there, so that
    ``g_adv_loss`` moves the metric against ``synth_loss`` and the other way round; and ``|s - a|^2``, ``|s - n|^2`` are
    of L2-normalised features, divided by their number of dimensions.

    The embedder's raw output is measured; generator and classifier are not kept when training ends.

    Sources: Duan, Zheng, Lin, Lu, Zhou, "Deep Adversarial Metric Learning", CVPR 2018; the trainer of this name in
    pytorch-metric-learning, and powerful-benchmarker 0.9.33 (there ``g_adv_loss`` always had the L2 distance of
    normalised embeddings; here it has the ``distance`` it is given, by default that one).
    """

    def __init__(
        self,
        config: ExperimentConfig,
        facts: FoldFacts,
        trunk: nn.Module,
        metric_alone_epochs: int = 0,
        g_alone_epochs: int = 0,
        g_triplets_per_anchor: int = 100,
        variant: str = SEPARATE,
    ) -> None:
        self.check(config)
        embedder, size = pooled_embedder(config, facts)
        joint = variant == JOINT
        self.needs = Needs()
        self.of_batch = LossesWithClassifier(config, facts.classes, size, metric_names(config))
        self.negatives = HardNegatives(config, facts.classes, facts.widths["pooled"], size, normalized=joint)
        self.joint, self.triplets_per_anchor = joint, g_triplets_per_anchor
        self.metric_alone_until, self.alone_until = metric_alone_epochs, metric_alone_epochs + g_alone_epochs
        self.weights = dict(config.trainer.loss_weights or {})
        parts = {"embedder": embedder, **self.of_batch.modules(), **self.negatives.modules()}
        self.modules = nn.ModuleDict(parts)

    @staticmethod
    def check(config: ExperimentConfig) -> AboutMethod:
        """Names and kinds of losses, miners and models; whether generator and classifier are whole; numbers."""
        check_hard_negatives(config, metric_names(config))
        return AboutMethod(remarks=idle_classifier(config) + idle_layers(config))

    def losses(self, batch: Batch, outputs: Sequence[Outputs]) -> Iterator[Update]:
        """One update for each side, or one for both."""
        embeddings, labels, features = self._reduced(batch, outputs[0]["pooled"])
        metric_only = batch.epoch <= self.metric_alone_until
        generator_only = not metric_only and batch.epoch <= self.alone_until
        apart = generator_only or not self.joint
        triplets = None if metric_only else random_triplets(labels, self.triplets_per_anchor)
        if triplets is None:
            if not generator_only:
                yield Update(self._of_batch(embeddings, labels), self.weights)
            return
        embedder, seen = self.modules["embedder"], features.detach() if apart else features
        synthetic = self.negatives.generated(seen, triplets)
        known = embeddings.detach() if apart else embeddings
        of_generator = self.negatives.losses_of_generator(embedder, seen, known, labels, triplets, synthetic)
        if apart:
            yield Update(of_generator, self.weights, optimizers=(GENERATOR,))
        if not generator_only:
            of_metric = self._of_batch(embeddings, labels)
            negatives = embedder(synthetic.detach() if apart else synthetic)
            of_metric[SYNTH] = self.negatives.loss_of_metric(embeddings, labels, triplets, negatives)
            yield Update(of_metric if apart else {**of_metric, **of_generator}, self.weights)

    def _reduced(self, batch: Batch, features: Tensor) -> tuple[Tensor, ...]:
        """Embeddings, labels and features of the items that are used."""
        embeddings = self.modules["embedder"](features)
        with in_full_precision(embeddings):
            return self.of_batch.metric_losses.reduced(embeddings.float(), batch.labels, features)

    def _of_batch(self, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with in_full_precision(embeddings):
            return self.of_batch.of(embeddings, labels)

    def embeddings(self, outputs: Outputs) -> dict[str, Tensor]:
        """The embedder's output."""
        return {"embedding": self.modules["embedder"](outputs["pooled"])}


def metric_names(config: ExperimentConfig) -> list[str]:
    """The losses that compare the batch's embeddings."""
    return [name for name in config.loss_funcs if name not in (CLASSIFIER_LOSS, SYNTH, ADVERSARIAL)]
