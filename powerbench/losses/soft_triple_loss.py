"""SoftTriple with its published regulariser of the centres."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_metric_learning.losses import SoftTripleLoss as LibrarySoftTripleLoss
from torch import Tensor

TINY = 1e-5
"""Inside the root, whose gradient is not finite where two centres coincide."""
SMALLEST_NORM = 1e-12
"""Shorter centres count as that long, as torch normalises."""


class SoftTripleLoss(LibrarySoftTripleLoss):  # type: ignore[misc]
    """Cross entropy over similarities to classes of several centres, and ``reg_weight`` times their spread in a class.

    The similarity to a class is the mean of the cosines to its centres, weighted by their softmax at the temperature
    ``gamma``; ``margin`` is taken off the own class's, ``la`` scales all. The spread is the sum of the distances
    between a class's centres, divided by the number of ordered pairs. Source: "SoftTriple Loss: Deep Metric Learning
    Without Triplet Sampling" (ICCV 2019), as pytorch-metric-learning 0.9.88 computed it for "A Metric Learning
    Reality Check". Version 2.9 has no ``reg_weight``, and its SparseCentersRegularizer compares all centres of all
    classes (7 GB for the 8488 classes of Stanford Online Products), with infinite gradients where two coincide.
    """

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        centers_per_class: int = 10,
        la: float = 20,
        gamma: float = 0.1,
        reg_weight: float = 0.2,
        margin: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, embedding_size, centers_per_class, la, gamma, margin, **kwargs)
        self.reg_weight = reg_weight

    def compute_loss(self, *batch: Any) -> dict[str, Any]:
        """The cross entropy and the regulariser."""
        losses: dict[str, Any] = super().compute_loss(*batch)
        value = self.reg_weight * self._spread() if self.reg_weight and self.centers_per_class > 1 else 0
        return {**losses, "reg_loss": {**self.zero_loss(), "losses": value}}

    def get_logits(self, embeddings: Tensor) -> Tensor:
        """Similarities to the classes (B x classes). A softmax over any but the last axis, short here, is faster."""
        cosines: Tensor = self.distance(self.fc.t(), embeddings).view(self.num_classes, self.centers_per_class, -1)
        weights = torch.softmax(cosines * self.gamma, dim=1)
        return (weights * cosines).sum(dim=1).t()

    def _spread(self) -> Tensor:
        centers: Tensor = self.fc.view(-1, self.num_classes, self.centers_per_class).permute(1, 2, 0)
        products = centers @ centers.mT
        norms = products.diagonal(dim1=1, dim2=2).clamp(min=SMALLEST_NORM**2).sqrt()
        cosines = products / (norms.unsqueeze(1) * norms.unsqueeze(2))
        distances = torch.sqrt((2 + TINY - 2 * cosines).clamp(min=TINY / 2)).triu(diagonal=1)
        spread: Tensor = distances.sum() / (self.num_classes * self.centers_per_class * (self.centers_per_class - 1))
        return spread

    def _sub_loss_names(self) -> list[str]:
        return [*super()._sub_loss_names(), "reg_loss"]
