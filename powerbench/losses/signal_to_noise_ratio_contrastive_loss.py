"""The signal-to-noise-ratio contrastive loss with its published regulariser."""

from __future__ import annotations

from typing import Any

from pytorch_metric_learning.distances import SNRDistance
from pytorch_metric_learning.losses import SignalToNoiseRatioContrastiveLoss as LibraryLoss
from torch import Tensor

LEAST_SIGNAL = 1e-12
"""A smaller signal counts as that: an embedding whose dimensions are all equal has none to divide by."""


class _SNRDistanceByProducts(SNRDistance):  # type: ignore[misc]
    """The library's distance from a matrix product: it subtracts each pair instead (N x N x D numbers)."""

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        query, reference = (rows - rows.mean(dim=1, keepdim=True) for rows in (query_emb, ref_emb))
        signal = query.square().sum(dim=1, keepdim=True)
        noise = signal + reference.square().sum(dim=1) - 2 * query @ reference.mT
        return noise.clamp(min=0) / signal.clamp(min=LEAST_SIGNAL)


class SignalToNoiseRatioContrastiveLoss(LibraryLoss):  # type: ignore[misc]
    """Contrastive loss on ``d(a, b) = var(a - b) / var(a)``, and ``regularizer_weight * mean |sum of an embedding|``.

    Positive pairs cost ``max(d - pos_margin, 0)``, negative ones ``max(neg_margin - d, 0)``, each averaged over those
    that cost anything; variances are over the dimensions of normalised embeddings, and so is the regulariser's sum.
    Source: "Signal-to-Noise Ratio: A Robust Distance Metric for Deep Metric Learning" (CVPR 2019), as
    pytorch-metric-learning 0.9.88 computed it for "A Metric Learning Reality Check". Version 2.9 has no
    ``regularizer_weight``, and its ZeroMeanRegularizer sums embeddings that are not normalised.
    """

    def __init__(
        self, pos_margin: float = 0, neg_margin: float = 1, regularizer_weight: float = 0, **kwargs: Any
    ) -> None:
        super().__init__(pos_margin=pos_margin, neg_margin=neg_margin, **kwargs)
        self.regularizer_weight = regularizer_weight

    def get_default_distance(self) -> SNRDistance:
        """``var(a - b) / var(a)`` of all pairs."""
        return _SNRDistanceByProducts()

    def compute_loss(self, embeddings: Tensor, *others: Any) -> dict[str, Any]:
        """The losses of pairs and the regulariser's."""
        losses: dict[str, Any] = super().compute_loss(embeddings, *others)
        sums = self.distance.maybe_normalize(embeddings).sum(dim=1)
        value = self.regularizer_weight * sums.abs().mean() if self.regularizer_weight else 0
        return {**losses, "reg_loss": {**self.zero_loss(), "losses": value}}

    def _sub_loss_names(self) -> list[str]:
        return [*super()._sub_loss_names(), "reg_loss"]
