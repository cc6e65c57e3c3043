"""Triplets of a batch, and losses of triplets whose negatives are not in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Triplets(NamedTuple):
    """Places in a batch (T each): an anchor, another item of its class, one of another class."""

    anchor: Tensor
    positive: Tensor
    negative: Tensor


def random_triplets(labels: Tensor, per_anchor: int) -> Triplets | None:
    """``per_anchor`` triplets for each item that has a positive and a negative; None if no item has both.

    Positives and negatives are drawn independently, each equally probable, from torch's generator.
    """
    alike = labels[:, None] == labels
    positive, negative = alike & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~alike
    anchors = torch.nonzero(positive.any(dim=1) & negative.any(dim=1)).flatten()
    if len(anchors) == 0:
        return None
    drawn = [torch.multinomial(each[anchors].float(), per_anchor, replacement=True) for each in (positive, negative)]
    return Triplets(anchors.repeat_interleave(per_anchor), drawn[0].flatten(), drawn[1].flatten())


def loss_with_synthetic(
    loss: Any, embeddings: Tensor, labels: Tensor, triplets: Triplets, synthetic: Tensor, *, exchanged: bool = False
) -> Tensor:
    """A loss of pytorch-metric-learning of triplets that have ``synthetic`` negatives (T x D) in place of their own.

    ``embeddings`` (B x D) and ``labels`` are the batch's. exchanged: the synthetic ones are given to the loss as the
    positives, the batch's positives as the negatives.
    """
    made = len(embeddings) + torch.arange(len(synthetic), device=labels.device)
    pair = (made, triplets.positive) if exchanged else (triplets.positive, made)
    others, their_labels = torch.cat([embeddings, synthetic]), torch.cat([labels, labels[triplets.negative]])
    value: Tensor = loss(embeddings, labels, (triplets.anchor, *pair), others, their_labels)
    return value
