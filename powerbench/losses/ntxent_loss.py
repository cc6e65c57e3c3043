"""NT-Xent as the Reality Check computed it, with a denominator for each anchor instead of for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_metric_learning.losses import NTXentLoss as LibraryNTXentLoss
from torch import Tensor

FLOOR = 1e-20
"""Added to each probability: pairs far below it give no gradient, which temperatures of 0.001 and less depend on."""


class NTXentLoss(LibraryNTXentLoss):  # type: ignore[misc]
    """Mean over positive pairs of ``-log(p + 1e-20)``, p the softmax of the pair among its anchor's negatives.

    The softmax is over cosine similarities divided by ``temperature``: ``p = e(a, p) / (e(a, p) + sum_n e(a, n))``.
    Source: "A Simple Framework for Contrastive Learning of Visual Representations", equation 1, for labelled pairs,
    as pytorch-metric-learning 0.9.88 computed it for "A Metric Learning Reality Check". Version 2.9 adds 1e-38, with
    which pairs twice as far down still give gradients, and needs memory for positive times negative pairs (50 million
    numbers at batches of 256); here it is positive plus negative pairs.
    """

    def _compute_loss(self, pos_pairs: Tensor, neg_pairs: Tensor, indices_tuple: Sequence[Tensor]) -> dict[str, Any]:
        anchors, positives, negative_anchors, _ = indices_tuple
        if len(anchors) == 0 or len(negative_anchors) == 0:
            zero: dict[str, Any] = self.zero_losses()
            return zero
        sign = 1 if self.distance.is_inverted else -1
        near, far = sign * pos_pairs / self.temperature, sign * neg_pairs / self.temperature
        count = int(torch.maximum(anchors.max(), negative_anchors.max())) + 1
        largest = far.new_full((count,), -torch.inf).scatter_reduce(0, negative_anchors, far.detach(), "amax")
        summed = far.new_zeros(count).index_add(0, negative_anchors, torch.exp(far - largest[negative_anchors]))
        top = torch.maximum(near, largest[anchors]).detach()
        own = torch.exp(near - top)
        probability = own / (own + summed[anchors] * torch.exp(largest[anchors] - top))
        losses = -torch.log(probability + FLOOR)
        return {"loss": {"losses": losses, "indices": (anchors, positives), "reduction_type": "pos_pair"}}
