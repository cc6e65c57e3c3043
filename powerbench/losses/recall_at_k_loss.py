"""The surrogate of recall@k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import BaseMetricLossFunction
from torch import Tensor

from powerbench.losses.soft_ranks import RankLoss, above


class RecallAtKLoss(RankLoss, BaseMetricLossFunction):  # type: ignore[misc]
    """One minus recall@k of each item as a query, mean over ``k_values`` and queries, with sigmoids for steps.

    Ranks take a sigmoid of similarity differences over ``temperature``; being among the first k, one of ``k - rank``
    over ``rank_temperature``. The sum over a query's positives, at most k, is divided by min(k, positives). Source:
    "Recall@k Surrogate Loss with Large Batches and Similarity Mixup" (CVPR 2022), with that limit and division from the
    authors' program; there the query takes part in its own gallery and each k has a rank temperature of its own (k by
    default), here it does not and all have one. Similarity mixup is not part of the loss. An item without another one
    of its class is no query.
    """

    def __init__(
        self,
        temperature: float = 0.01,
        rank_temperature: float = 1.0,
        k_values: Sequence[int] = (1, 2, 4, 8, 16),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.temperature = temperature
        self.rank_temperature = rank_temperature
        self.k_values = tuple(k_values)

    def of_items(self, similarities: Tensor, same: Tensor) -> Tensor:
        """One minus the mean recall of each item."""
        other = ~torch.eye(len(same), dtype=torch.bool, device=same.device)
        positive = same & other
        queries, items = torch.nonzero(positive, as_tuple=True)
        higher = above(similarities, queries, items, self.temperature)
        ranks = 1 + (higher * other[queries]).sum(dim=1, keepdim=True)
        cut = torch.tensor(self.k_values, dtype=ranks.dtype, device=ranks.device)
        within = torch.sigmoid((cut - ranks) / self.rank_temperature)
        found = within.new_zeros(len(same), len(cut)).index_add(0, queries, within)
        most = torch.minimum(positive.sum(dim=1, keepdim=True), cut).clamp(min=1)
        return 1 - (torch.minimum(found, cut) / most).mean(dim=1)

    def get_default_distance(self) -> CosineSimilarity:
        """Cosine similarity."""
        return CosineSimilarity()
