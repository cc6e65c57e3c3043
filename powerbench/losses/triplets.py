"""All triplets of a batch, or of chosen pairs, in the library's order but without going through all it could hold."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_metric_learning.utils.loss_and_miner_utils import get_all_pairs_indices
from torch import Tensor

Places = tuple[Tensor, Tensor, Tensor]


class TripletLoss(ABC):  # noqa: B024  (it is none of the losses that a config can name)
    """Before one of pytorch-metric-learning's losses of triplets among the bases: finds the triplets faster."""

    def compute_loss(
        self: Any, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """The library's losses, of the same triplets in the same order."""
        if self.triplets_per_anchor == "all":
            indices_tuple = as_triplets(indices_tuple, labels, ref_labels)
        compute = super().compute_loss  # type: ignore[misc]
        losses: dict[str, Any] = compute(embeddings, labels, indices_tuple, ref_emb, ref_labels)
        return losses


def as_triplets(chosen: Sequence[Tensor] | None, labels: Tensor, reference_labels: Tensor) -> Places:
    """Places of anchors, positives and negatives: those ``chosen``, or of each positive pair with each negative one.

    ``chosen``: triplets, or positive and negative pairs; without, all pairs. pytorch-metric-learning 2.9 looks at every
    combination of three items (or of two pairs), most of which are no triplets.
    """
    if chosen is not None and len(chosen) == 3:
        anchors, positives, negatives = chosen
        return anchors, positives, negatives
    near, positives, far, negatives = chosen or get_all_pairs_indices(labels, reference_labels)
    order = torch.argsort(far, stable=True)
    counts = torch.bincount(far, minlength=len(labels))
    first = counts.cumsum(0) - counts  # of each anchor's negatives in their order
    numbers = counts[near]
    pairs = torch.arange(len(near), device=near.device).repeat_interleave(numbers)
    within = torch.arange(len(pairs), device=near.device) - (numbers.cumsum(0) - numbers)[pairs]
    return near[pairs], positives[pairs], negatives[order][first[near[pairs]] + within]
