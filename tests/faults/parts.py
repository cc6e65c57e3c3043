"""Parts of the tiny world that misbehave, as a user's own could."""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import ContrastiveLoss

from tests.training.tiny import TinyImages


class LossThatFailsBetween(ContrastiveLoss):
    """A contrastive loss that is NaN for the negative margins in a range."""

    def __init__(self, neg_margin: float = 1.0, low: float = 2.0, high: float = 3.0, **others) -> None:
        super().__init__(neg_margin=neg_margin, **others)
        self.fails = low <= neg_margin <= high

    def forward(self, embeddings, labels, *others):
        loss = super().forward(embeddings, labels, *others)
        return loss * torch.nan if self.fails else loss


class NoisyImages(TinyImages):
    """Images so noisy that training pays."""

    def __init__(self) -> None:
        super().__init__(noise=90.0)
