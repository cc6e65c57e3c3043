"""The embedder of "A Metric Learning Reality Check"."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from powerbench.errors import UserError


class MLP(nn.Module):
    """Linear layers of ``layer_sizes`` outputs each, with a ReLU **before** each but the last one.

    ``layer_sizes: [128]`` is one bare linear layer. ``in_features`` is filled in: the trunk's width.
    Maps B x in_features to B x layer_sizes[-1]. (Source: powerful-benchmarker 0.9.33, architectures/misc_models.)
    """

    def __init__(self, in_features: int, layer_sizes: Sequence[int]) -> None:
        super().__init__()
        if not layer_sizes or any(not isinstance(size, int) or size < 1 for size in layer_sizes):
            raise UserError(f"MLP needs layer_sizes as a list of sizes, such as [128], not {list(layer_sizes)}.")
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(pairwise((in_features, *layer_sizes)), start=1):
            if number < len(layer_sizes):
                layers.append(nn.ReLU())
            layers.append(nn.Linear(inputs, outputs))
        self.net = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """B x in_features to B x layer_sizes[-1]."""
        embeddings: Tensor = self.net(features)
        return embeddings
