"""Train trunk and embedder with one or more metric losses: the method of "A Metric Learning Reality Check"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from powerbench.config.schema import ExperimentConfig
from powerbench.methods.checking import check_names, idle_layers, own_miners
from powerbench.methods.contract import AboutMethod, Batch, FoldFacts, Method, Needs, Outputs, Update
from powerbench.methods.metric_losses import MetricLosses, in_full_precision, pooled_embedder


class MetricLossOnly(Method):
    """Weighted sum of the losses of ``loss_funcs``, each with its miner (:class:`MetricLosses`).

    Losses get the embedder's raw output in float32 (the library's distances normalise by default).
    ``trainer.loss_weights`` weighs them (1 by default).

    Raises UserError for unknown names among the miners, models and weights, for a loss named like another
    module, for one that takes no labels, and for an ``embedding_size`` that is not the embedder's.
    """

    def __init__(self, config: ExperimentConfig, facts: FoldFacts, trunk: nn.Module) -> None:
        self.check(config)
        embedder, size = pooled_embedder(config, facts)
        self.needs = Needs()
        self.metric_losses = MetricLosses(config, facts.classes, size)
        self.weights = dict(config.trainer.loss_weights or {})
        self.modules = nn.ModuleDict({"embedder": embedder, **self.metric_losses.modules()})

    @staticmethod
    def check(config: ExperimentConfig) -> AboutMethod:
        """Names and kinds of losses, miners and models."""
        names = list(config.loss_funcs)
        check_names(config, names, miners=own_miners(names))
        return AboutMethod(remarks=idle_layers(config))

    def losses(self, batch: Batch, outputs: Sequence[Outputs]) -> Iterator[Update]:
        """One update for all modules."""
        embeddings = self.modules["embedder"](outputs[0]["pooled"])
        with in_full_precision(embeddings):
            losses = self.metric_losses.of(*self.metric_losses.reduced(embeddings.float(), batch.labels))
        yield Update(losses, self.weights)

    def embeddings(self, outputs: Outputs) -> dict[str, Tensor]:
        """The embedder's output."""
        return {"embedding": self.modules["embedder"](outputs["pooled"])}
