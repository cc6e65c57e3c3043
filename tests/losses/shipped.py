"""The shipped loss configs as they are used, with values chosen for what they search."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from powerbench.classes import build
from powerbench.config.merged import load_config
from powerbench.config.schema import ExperimentConfig
from powerbench.config.search_keys import SearchKey, fill, search_keys
from powerbench.config.sources import packaged_folder
from powerbench.config.typed import typed
from powerbench.methods.metric_losses import build_losses

FILES = sorted(path.stem for path in (packaged_folder() / "config_loss_and_miners").glob("*.yaml"))
ALONE = [name for name in FILES if not name.startswith("with_") and name != "default"]
SETTINGS = ("_cub200", "_cars196", "_sop", "_cub200_batch256", "_grid")
"""How files end that change another one's search space."""

OVERLAYS = ["with_cross_batch_memory", "with_threshold_consistent_margin", "with_variance_covariance"]
PAIR_LOSSES = ("contrastive", "triplet", "ntxent", "margin", "snr_contrastive", "multi_similarity", "supcon", "circle")

METHODS = {name: [name] for name in ALONE if not name.endswith(SETTINGS)}
METHODS |= {f"contrastive, {overlay}": ["contrastive", overlay] for overlay in OVERLAYS}
METHODS |= {f"{name}, {OVERLAYS[0]}": [name, OVERLAYS[0]] for name in PAIR_LOSSES[1:]}
"""Every loss that can be compared, and the configs that make it."""

SPACES = {name: [name.removesuffix(end), name] for end in SETTINGS for name in ALONE if name.endswith(end)}
"""Further search spaces of the same losses."""


def middle(key: SearchKey) -> Any:
    """The middle of a range on its own scale, of a list the first."""
    if key.choices:
        return key.value[0]
    low, high = key.value
    value = (low * high) ** 0.5 if key.operator == "LOG_BAYESIAN" else (low + high) / 2
    return type(low)(value)


def configured(files: list[str], **chosen: Any) -> ExperimentConfig:
    """The typed config with the middle of each searched range, or what is ``chosen`` by the last part of its path."""
    merged = load_config({"config_loss_and_miners": ["default", *files]}, {})
    values = {key.path: chosen.get(key.keys[-1], middle(key)) for key in search_keys(merged)}
    return typed(fill(merged, values), merged)


def corners(files: list[str]) -> list[ExperimentConfig]:
    """The typed configs with each combination of the lowest and the highest value of what is searched."""
    merged = load_config({"config_loss_and_miners": ["default", *files]}, {})
    keys = search_keys(merged)
    bounds = [key.value if key.choices else key.value[:2] for key in keys]
    picked = [dict(zip((key.path for key in keys), values, strict=True)) for values in itertools.product(*bounds)]
    return [typed(fill(merged, values), merged) for values in picked]


class Objective(torch.nn.Module):
    """A config's losses with their miner, called with embeddings and labels."""

    def __init__(self, config: ExperimentConfig, classes: int, size: int) -> None:
        super().__init__()
        self.losses = torch.nn.ModuleDict(build_losses(config, classes, size))
        miner = config.mining_funcs.get("tuple_miner")
        self.miner = build("miner", miner) if miner else None

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        mined = self.miner(embeddings, labels) if self.miner else None
        return torch.stack([loss(embeddings, labels, mined) for loss in self.losses.values()]).sum()
