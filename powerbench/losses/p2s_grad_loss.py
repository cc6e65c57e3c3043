"""P2SGrad as the loss that has its published gradients."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.utils.common_functions import indices_tuple_not_supported, ref_not_supported
from torch import Tensor, nn


class P2SGradLoss(BaseMetricLossFunction):  # type: ignore[misc]
    """Half the squared distance of an item's cosines to all class weights from 1 (own class) and 0 (others).

    Its gradient with respect to a cosine is that cosine minus its target: source "P2SGrad: Refined Gradients for
    Optimizing Deep Face Models" (CVPR 2019), equation 11. pytorch-metric-learning 2.9 takes the mean over classes
    instead of half the sum (a factor of 2 / classes) and rescales its weights in place at each step.
    """

    def __init__(self, num_classes: int, embedding_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = nn.Parameter(torch.randn(num_classes, embedding_size))

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """One loss for each item."""
        indices_tuple_not_supported(indices_tuple)
        ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        cosines = self.distance(embeddings, self.weight)
        targets = nn.functional.one_hot(labels, len(self.weight))
        losses = (cosines - targets).square().sum(dim=1) / 2
        indices = torch.arange(len(labels), device=labels.device)
        return {"loss": {"losses": losses, "indices": indices, "reduction_type": "element"}}

    def get_default_distance(self) -> CosineSimilarity:
        """Cosine similarity."""
        return CosineSimilarity()
