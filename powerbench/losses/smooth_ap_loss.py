"""Smooth-AP for batches of any composition."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_metric_learning.losses import SmoothAPLoss as LibrarySmoothAPLoss
from pytorch_metric_learning.utils.common_functions import indices_tuple_not_supported, ref_not_supported
from torch import Tensor

from powerbench.losses.soft_ranks import above, of_one_class


class SmoothAPLoss(LibrarySmoothAPLoss):  # type: ignore[misc]
    """One minus the average precision of each item as a query, with ranks from sigmoids; mean over queries.

    Gallery and positives hold the query itself, as in the authors' program. Source: "Smooth-AP: Smoothing the Path
    Towards Large-Scale Image Retrieval" (ECCV 2020). pytorch-metric-learning 2.9 mistakes the number of items a class
    for the number of classes: it has these values only where both are equal and the items stand class by class. It
    also needs N x N x N numbers. An item without another one of its class is no query.
    """

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """One loss for each query."""
        indices_tuple_not_supported(indices_tuple)
        ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        same, count, kept = of_one_class(labels)
        if len(kept) == 0:
            zero: dict[str, Any] = self.zero_losses()
            return zero
        queries, items = torch.nonzero(same, as_tuple=True)
        higher = above(self.distance(embeddings), queries, items, self.temperature)
        precision = (1 + (higher * same[queries]).sum(dim=1)) / (1 + higher.sum(dim=1))
        average = precision.new_zeros(len(labels)).index_add(0, queries, precision) / count
        return {"ap_loss": {"losses": 1 - average[kept], "indices": kept, "reduction_type": "element"}}

    def _sub_loss_names(self) -> list[str]:
        return ["ap_loss"]
