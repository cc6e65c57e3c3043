"""A method on features of its own, without data: what its definition is tested with."""

from __future__ import annotations

import torch
from torch import nn

from powerbench.config.schema import ExperimentConfig
from powerbench.methods.building import build_method
from powerbench.methods.contract import Batch, FoldFacts
from tests.training.tiny import CONFIG

WIDTH, SIZE, CLASSES = 6, 5, 4
LABELS = torch.arange(CLASSES).repeat_interleave(4)


def method_of(widths=None, **changes):
    """The configured method for 16 training items of 4 classes, four each."""
    config = ExperimentConfig.from_plain({**CONFIG, **changes})
    names = tuple(f"class {n}" for n in range(CLASSES))
    facts = FoldFacts({"pooled": WIDTH, **(widths or {})}, LABELS.numpy(), names, embedder_seed=3)
    return build_method(config, facts, nn.Identity(), seed=7)


def features(seed=0, width=WIDTH):
    return torch.randn(len(LABELS), width, generator=torch.Generator().manual_seed(seed))


def updates_of(method, *outputs, epoch=1):
    """The updates of one batch; ``outputs``: the trunk's, one mapping a view."""
    batch = Batch(torch.arange(len(LABELS)), LABELS, (), "", epoch, 0)
    return list(method.losses(batch, outputs))
