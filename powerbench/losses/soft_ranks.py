"""Losses of ranks, which take a sigmoid in place of the step function, so that they have gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from pytorch_metric_learning.utils.common_functions import indices_tuple_not_supported, ref_not_supported
from torch import Tensor


class RankLoss(ABC):
    """What losses of pytorch-metric-learning's kind share that rank a batch for each of its items as a query.

    An item without another one of its class is no query; without queries the loss is 0.
    """

    def compute_loss(
        self: Any, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """One loss for each query."""
        indices_tuple_not_supported(indices_tuple)
        ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        same = labels.unsqueeze(0) == labels.unsqueeze(1)
        queries = torch.nonzero(same.sum(dim=1) > 1).flatten()
        if len(queries) == 0:
            zero: dict[str, Any] = self.zero_losses()
            return zero
        losses = self.of_items(self.distance(embeddings), same)[queries]
        (name,) = self._sub_loss_names()
        return {name: {"losses": losses, "indices": queries, "reduction_type": "element"}}

    @abstractmethod
    def of_items(self, similarities: Tensor, same: Tensor) -> Tensor:
        """The loss of each of N items, from all similarities and whether two items share a class (both N x N)."""


def above(similarities: Tensor, queries: Tensor, items: Tensor, temperature: float) -> Tensor:
    """For P pairs of a query and an item: how far each of N items ranks above it, 0 to 1 (P x N; 0 for itself).

    ``similarities``: Q x N. One plus the sum over some items of a row is the pair's rank among them. Costs P x N
    numbers, where all ranks of all queries would take Q x N x N.
    """
    own = similarities[queries, items].unsqueeze(1)
    sigmoids = torch.sigmoid((similarities[queries] - own) / temperature)
    return sigmoids.masked_fill(torch.arange(similarities.shape[1], device=items.device) == items.unsqueeze(1), 0)


def mean_over_pairs(values: Tensor, queries: Tensor, same: Tensor) -> Tensor:
    """For N items the mean of the values of their pairs with items of their class, themselves included."""
    return values.new_zeros(len(same)).index_add(0, queries, values) / same.sum(dim=1)
