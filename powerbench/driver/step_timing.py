"""What a plan takes on this machine at least and at most, if no fold run like it was ever timed. Needs no data."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from powerbench.config.schema import ExperimentConfig
from powerbench.console import duration
from powerbench.data.recipes import build_recipe, stack
from powerbench.data.sizes import refuse_size
from powerbench.driver.costs import models_with_random_weights
from powerbench.driver.folder import ExperimentFolder
from powerbench.driver.preparing import Prepared
from powerbench.evaluation.model import choose_device, use_threads
from powerbench.models.trunk_contract import ImageTrunk
from powerbench.roots import Roots
from powerbench.seeding import seeded

ON_CPU = 2
"""Images timed on a CPU, where the time grows with their number; a GPU gets a whole batch."""


@dataclass(frozen=True)
class Estimate:
    """``iteration``: seconds of the trunk's forward and backward pass; of all fold runs if each ends first or last."""

    iteration: float
    shortest: float
    longest: float
    device: str

    @property
    def text(self) -> str:
        """In words."""
        digits = ".2g" if self.iteration < 10 else ".0f"
        return (
            f"between {duration(self.shortest)} (if every fold run stops as early as patience allows) and "
            f"{duration(self.longest)} (if none stops early), one at a time: the trunk alone takes "
            f"{self.iteration:{digits}} s an iteration on this {self.device}, as timed now"
        )


def estimate(name: str, prepared: Prepared, fold_runs: int, roots: Roots) -> Estimate | None:
    """The time of so many fold runs of an experiment. ``None`` for a frozen trunk, which runs before training only.

    Raises UserError if the trunk does not take images of the configured size.
    """
    config = prepared.config
    if config.freeze_trunk:
        return None
    trunk, _ = models_with_random_weights(prepared, ExperimentFolder.of(name, roots.experiments).user_code, roots)
    device = choose_device(config)
    seconds = _seconds_of_iteration(trunk, config, device)
    each = seconds * config.trainer.iterations_per_epoch * fold_runs
    return Estimate(
        seconds, each * earliest_stop(config), each * config.num_epochs_train, "GPU" if device.type == "cuda" else "CPU"
    )


def earliest_stop(config: ExperimentConfig) -> int:
    """The epoch after which a fold run ends whose validations never improve on the untrained model."""
    if config.patience is None:
        return config.num_epochs_train
    intervals = config.patience // config.save_interval + 1
    return min(intervals * config.save_interval, config.num_epochs_train)


def _seconds_of_iteration(trunk: ImageTrunk, config: ExperimentConfig, device: torch.device) -> float:
    use_threads(config.threads_per_run)
    count = config.trainer.batch_size if device.type == "cuda" else min(ON_CPU, config.trainer.batch_size)
    views = config.transforms.of_views()
    name, steps = next(iter(views.items()))
    recipe = build_recipe(steps, where=f"transforms/{name}")
    with seeded(0):
        blank = recipe.end(recipe.start(Image.new("RGB", (500, 400))))
    images = stack([blank] * count).float().to(device)
    refuse_size(trunk.to(device), images[:1], where=f"transforms/{name}")
    trunk.train()
    items = config.trainer.batch_size * len(views)
    return min(_seconds_of_pass(trunk, images) for _ in range(2)) * items / count


def _seconds_of_pass(trunk: ImageTrunk, images: Tensor) -> float:
    started = time.perf_counter()
    total = trunk(images)["pooled"].sum()
    total.backward()
    float(total.detach())
    if images.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
