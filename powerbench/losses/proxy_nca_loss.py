"""Proxy-NCA with a logarithm that no scale makes infinite."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_metric_learning.losses import ProxyNCALoss as LibraryProxyNCALoss
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_weights
from torch import Tensor


class ProxyNCALoss(LibraryProxyNCALoss):  # type: ignore[misc]
    """Cross entropy over ``-softmax_scale`` times the squared distances to the proxies, one for each class.

    Source: "No Fuss Distance Metric Learning using Proxies", with the own class's proxy in the denominator, too, as
    pytorch-metric-learning 0.9.88 computed it for "A Metric Learning Reality Check". That library takes the logarithm
    of the softmax: at scales of 50 and more its gradients are not numbers for some embeddings far from their proxy,
    and those further still cost nothing.
    """

    def nca_computation(
        self, query: Tensor, reference: Tensor, query_labels: Tensor, reference_labels: Tensor, indices_tuple: Any
    ) -> dict[str, Any]:
        """One loss for each item; ``reference`` holds the proxies, and each label's proxy stands at its place."""
        weights = convert_to_weights(indices_tuple, query_labels, dtype=query.dtype, using_ref=True)
        logits = self.softmax_scale * self.distance(query, reference)
        signed = logits if self.distance.is_inverted else -logits
        losses = torch.nn.functional.cross_entropy(signed, query_labels, reduction="none") * weights
        indices = torch.arange(len(query), device=query.device)
        return {"loss": {"losses": losses, "indices": indices, "reduction_type": "element"}}
