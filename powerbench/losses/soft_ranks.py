"""Ranks of similarities with a sigmoid in place of the step function, so that they have gradients."""

from __future__ import annotations

import torch
from torch import Tensor


def above(similarities: Tensor, queries: Tensor, items: Tensor, temperature: float) -> Tensor:
    """For P pairs of a query and an item: how far each of N items ranks above it, 0 to 1 (P x N; 0 for itself).

    ``similarities``: Q x N. One plus the sum over some items of a row is the pair's rank among them. Costs P x N
    numbers, where all ranks of all queries would take Q x N x N.
    """
    own = similarities[queries, items].unsqueeze(1)
    sigmoids = torch.sigmoid((similarities[queries] - own) / temperature)
    return sigmoids.masked_fill(torch.arange(similarities.shape[1], device=items.device) == items.unsqueeze(1), 0)


def of_one_class(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which items share a class (N x N, each with itself, too), their numbers (N), and the places of the queries.

    An item without another one of its class is no query.
    """
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    count = same.sum(dim=1)
    return same, count, torch.nonzero(count > 1).flatten()
