"""The embedder of "A Metric Learning Reality Check"."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from powerbench.errors import UserError


class MLP(nn.Module):
    """Linear layers of ``layer_sizes`` outputs each, with a ReLU **before** each but the last one.

    ``layer_sizes: [128]`` is one bare linear layer. ``in_features`` is filled in: the trunk's width. Where a method
    fills in ``out_features`` (a classifier's number of classes), that is one more size at the end.
    Maps B x in_features to B x the last size. (Source: powerful-benchmarker 0.9.33, architectures/misc_models.)
    """

    def __init__(self, in_features: int, layer_sizes: Sequence[int], out_features: int | None = None) -> None:
        super().__init__()
        sizes = [*layer_sizes, *([] if out_features is None else [out_features])]
        if not sizes or any(not isinstance(size, int) or size < 1 for size in sizes):
            raise UserError(f"MLP needs layer_sizes as a list of sizes, such as [128], not {list(layer_sizes)}.")
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(pairwise((in_features, *sizes)), start=1):
            if number < len(sizes):
                layers.append(nn.ReLU())
            layers.append(nn.Linear(inputs, outputs))
        self.net = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """B x in_features to B x the last size."""
        embeddings: Tensor = self.net(features)
        return embeddings
