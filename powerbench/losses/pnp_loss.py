"""PNP, which penalises the negatives ranked above a positive, for batches of any composition."""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import PNPLoss as LibraryPNPLoss
from torch import Tensor

from powerbench.losses.soft_ranks import RankLoss, above, mean_over_pairs


class PNPLoss(RankLoss, LibraryPNPLoss):  # type: ignore[misc]
    """A penalty of R, the number of negatives that rank above a positive, mean over a query's positives and queries.

    R counts with sigmoids at the temperature ``anneal``. ``variant``: Dq ``1 - 1 / (1 + R)**alpha``, Ds ``log(1 + R)``,
    O ``R``, Iu ``(1 + R) log(1 + R)``, Ib ``(b R - log(1 + b R)) / b**2``. Positives hold the query itself, as in the
    authors' program. Source: "Rethinking the Optimization of Average Precision: Only Penalizing Negative Instances
    before Positive Ones is Enough" (AAAI 2022). pytorch-metric-learning 2.9 has these values, but also takes items
    without another one of their class for queries, and needs N x N x N numbers.
    """

    def of_items(self, similarities: Tensor, same: Tensor) -> Tensor:
        """The mean penalty of each item's positives."""
        queries, items = torch.nonzero(same, as_tuple=True)
        higher = above(similarities, queries, items, self.anneal)
        penalties = _penalty((higher * ~same[queries]).sum(dim=1), self.variant, float(self.alpha), float(self.b))
        return mean_over_pairs(penalties, queries, same)


def _penalty(negatives: Tensor, variant: str, alpha: float, b: float) -> Tensor:
    if variant == "Dq":
        return 1 - (1 + negatives) ** -alpha
    if variant == "Iu":
        return (1 + negatives) * torch.log1p(negatives)
    if variant == "Ib":
        return (b * negatives - torch.log1p(b * negatives)) / b**2
    return torch.log1p(negatives) if variant == "Ds" else negatives
