"""Frozen batch norm, as "A Metric Learning Reality Check" trains with it."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def freeze_batchnorm(trunk: nn.Module) -> None:
    """Fix the running statistics of all batch norm layers; their affine weights are still trained.

    To be called after each ``trunk.train()``, which undoes it.
    """
    for module in trunk.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
