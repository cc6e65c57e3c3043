"""Smooth-AP for batches of any composition."""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import SmoothAPLoss as LibrarySmoothAPLoss
from torch import Tensor

from powerbench.losses.soft_ranks import RankLoss, above, mean_over_pairs


class SmoothAPLoss(RankLoss, LibrarySmoothAPLoss):  # type: ignore[misc]
    """One minus the average precision of each item as a query, with ranks from sigmoids; mean over queries.

    Gallery and positives hold the query itself, as in the authors' program. Source: "Smooth-AP: Smoothing the Path
    Towards Large-Scale Image Retrieval" (ECCV 2020). pytorch-metric-learning 2.9 mistakes the number of items a class
    for the number of classes: it has these values only where both are equal and the items stand class by class. It
    also needs N x N x N numbers. An item without another one of its class is no query.
    """

    def of_items(self, similarities: Tensor, same: Tensor) -> Tensor:
        """One minus the average precision of each item."""
        queries, items = torch.nonzero(same, as_tuple=True)
        higher = above(similarities, queries, items, self.temperature)
        precision = (1 + (higher * same[queries]).sum(dim=1)) / (1 + higher.sum(dim=1))
        return 1 - mean_over_pairs(precision, queries, same)

    def _sub_loss_names(self) -> list[str]:
        return ["ap_loss"]
