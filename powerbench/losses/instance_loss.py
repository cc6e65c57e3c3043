"""The instance loss as it was published: a plain softmax over classes."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.utils.common_functions import indices_tuple_not_supported, ref_not_supported
from torch import Tensor, nn


class InstanceLoss(BaseMetricLossFunction):  # type: ignore[misc]
    """Cross entropy of the products of embeddings and class weights, neither normalised, without a bias.

    Source: "Dual-Path Convolutional Image-Text Embeddings with Instance Loss" (ACM TOMM 2020), where each instance (an
    image with its texts) is a class; here the labels say what the instances are. pytorch-metric-learning 2.9
    computes something else by this name: it takes the items of the batch for the classes, so that an item's target is
    whichever item stands at its label's place.
    """

    def __init__(self, num_classes: int, embedding_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_size))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)  # torch's own initial weights of a linear layer

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """One loss for each item."""
        indices_tuple_not_supported(indices_tuple)
        ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        losses = nn.functional.cross_entropy(embeddings @ self.weight.t(), labels, reduction="none")
        indices = torch.arange(len(labels), device=labels.device)
        return {"loss": {"losses": losses, "indices": indices, "reduction_type": "element"}}
