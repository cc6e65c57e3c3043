"""The variance and covariance terms of VICReg, to regularise another loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class VarianceCovarianceLoss(nn.Module):
    """Keeps every dimension of the raw embeddings varying over the batch, and dimensions uncorrelated.

    ``variance_mu`` times the mean over dimensions of ``max(0, 1 - sqrt(variance + eps))``, plus ``covariance_v`` times
    the sum of squared covariances of two dimensions divided by their number. Source: "VICReg:
    Variance-Invariance-Covariance Regularization for Self-Supervised Learning" (ICLR 2022), equations 1 to 4; the
    invariance term, which needs two views of an image, is left to the loss that is regularised. Labels are not used.
    """

    def __init__(self, variance_mu: float = 25, covariance_v: float = 1, eps: float = 1e-4) -> None:
        super().__init__()
        self.variance_mu = variance_mu
        self.covariance_v = covariance_v
        self.eps = eps

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        """The weighted sum of both terms, a scalar."""
        centred = embeddings - embeddings.mean(dim=0)
        covariance = centred.mT @ centred / max(len(embeddings) - 1, 1)
        variance = torch.relu(1 - torch.sqrt(covariance.diagonal() + self.eps)).mean()
        off_diagonal = covariance - torch.diag(covariance.diagonal())
        return self.variance_mu * variance + self.covariance_v * off_diagonal.square().sum() / len(covariance)
