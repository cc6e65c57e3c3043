"""What the training loop and the evaluation are fed with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from powerbench.config.schema import ExperimentConfig, thaw
from powerbench.config.user_files import wherever_they_lie
from powerbench.data.decoded_images import decoded_images, pixels_key
from powerbench.data.features import FeatureInputs, FrozenTrunk, compute_features, kept_features, state_hash
from powerbench.data.images import ImageInputs, InputPart
from powerbench.data.lending import LentInputs, lent
from powerbench.data.recipes import Recipe, build_recipe, is_deterministic
from powerbench.data.sizes import refuse_size
from powerbench.datasets.contract import Dataset
from powerbench.environment import environment_of_process
from powerbench.errors import UserError
from powerbench.jobs import Places
from powerbench.models.trunk_contract import ImageTrunk

_LIBRARIES = ("torch", "torchvision", "timm", "pillow", "numpy")
"""What decodes and transforms images, and what trunks are made of."""


_fitting: set[tuple[str, str]] = set()
"""Images and trunks of which this process knows that they go together."""


class Inputs(Protocol):
    """A source of batches."""

    def batches(
        self, plan: Sequence[np.ndarray], *, part: InputPart, seed: int = 0, views: int = 1
    ) -> Iterator[tuple[Tensor, ...]]:
        """The batches of ``plan`` (arrays of the dataset's item numbers), in order.

        Each is one float32 tensor a view: images (B x 3 x height x width), or cached features (B x width).
        ``part`` names the transform recipe. What is random in it depends on ``seed`` and on the places of
        batch, item and view only. Only one iteration of a part may be under way at a time.
        """

    def close(self) -> None:
        """Stop the processes that make batches, if there are any."""


@dataclass(frozen=True)
class OpenedInputs:
    """Batches, and the trunk that takes them: the given one, or one that passes cached features through."""

    inputs: Inputs
    trunk: ImageTrunk


def open_inputs(
    config: ExperimentConfig, dataset: Dataset, trunk: ImageTrunk, places: Places, device: torch.device
) -> OpenedInputs:
    """Inputs for ``trunk`` from ``dataset``, on ``device``.

    With ``freeze_trunk`` the trunk's features are computed here, unless a file of them can be trusted.
    Raises UserError if the transforms are wrong, if the trunk does not take their images, or if features cannot
    be kept because the transforms are random.
    """
    refuse_random_features(config)
    recipes = {
        part: build_recipe(
            getattr(config.transforms, part), where=f"config_transforms: transforms/{part}", on_device=on_device
        )
        for part, on_device in (("train", config.augment_on == "device"), ("eval", False))
    }
    workers = {"train": config.trainer.dataloader_num_workers, "eval": config.tester.dataloader_num_workers}
    once = config.freeze_trunk and config.views is None  # features are kept instead
    kept = {} if once else decoded_images(config, dataset, recipes, places)

    def make() -> ImageInputs:
        return ImageInputs(dataset, recipes, trunk.input, device=device, workers=workers, kept=kept)

    if config.freeze_trunk:
        return _frozen(config, dataset, trunk, make(), recipes, places, device)
    text = _text_of(config, dataset, trunk, recipes, workers, places, device)
    inputs = lent(text, make)
    if (fitting := (text, repr(config.models.trunk))) not in _fitting:
        for part in ("train", "eval"):
            _refuse_size(trunk, inputs, part)
        _fitting.add(fitting)
    return OpenedInputs(inputs, trunk)


def refuse_random_features(config: ExperimentConfig) -> None:
    """Raise UserError if ``freeze_trunk`` is asked for although features would have to be drawn anew each time."""
    if not config.freeze_trunk:
        return
    if not is_deterministic(config.transforms.eval):
        raise UserError(
            "freeze_trunk keeps features, so the eval transforms must not be random.", where="transforms/eval"
        )
    if config.views is None and not is_deterministic(config.transforms.train):
        raise UserError(
            "freeze_trunk keeps features, but the train transforms are random. Use deterministic ones (Resize, "
            "CenterCrop), or set views: V to keep the features of V random versions of each image.",
            where="transforms/train",
        )


def _text_of(
    config: ExperimentConfig,
    dataset: Dataset,
    trunk: ImageTrunk,
    recipes: Mapping[str, Recipe],
    workers: Mapping[str, int],
    places: Places,
    device: torch.device,
) -> str:
    """All that batches of images, and the processes that make them, depend on."""
    classes = [type(step) for recipe in recipes.values() for step in (*recipe.head, *recipe.tail)]  # perhaps a user's
    made = [(part, recipe.text, recipe.put_off, workers[part]) for part, recipe in recipes.items()]
    kept = (config.cache, config.cache_gigabytes, places.cache_dir)
    return repr((pixels_key(config, dataset), type(dataset), made, classes, trunk.input, device, kept))


def _refuse_size(trunk: ImageTrunk, inputs: ImageInputs | LentInputs, part: InputPart) -> None:
    refuse_size(trunk, inputs.sample(part), where=f"config_transforms: transforms/{part}")


def _frozen(
    config: ExperimentConfig,
    dataset: Dataset,
    trunk: ImageTrunk,
    inputs: ImageInputs,
    recipes: dict[str, Recipe],
    places: Places,
    device: torch.device,
) -> OpenedInputs:
    """Cached features of both parts; equal recipes share them."""
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    common = _common_key(config, dataset, trunk, device)
    folder = Path(places.cache_dir) / "features"

    def bank(part: InputPart) -> np.ndarray:
        copies = 1 if recipes[part].deterministic else config.views or 1

        def compute() -> np.ndarray:
            _refuse_size(trunk, inputs, part)
            trunk.to(device).to(memory_format=layout)
            dtype = getattr(torch, config.precision)
            return compute_features(
                trunk, inputs, len(dataset.index), part=part, copies=copies, device=device, dtype=dtype
            )

        return kept_features(folder, {**common, "transforms": recipes[part].text, "copies": copies}, compute)

    banks = {"train": bank("train"), "eval": bank("eval")}
    inputs.close()
    return OpenedInputs(FeatureInputs(banks, device), FrozenTrunk(trunk))


def _common_key(
    config: ExperimentConfig, dataset: Dataset, trunk: ImageTrunk, device: torch.device
) -> dict[str, object]:
    """Everything but the recipe that a feature depends on, down to its last bit."""
    installed = environment_of_process()
    return {
        "dataset": pixels_key(config, dataset),
        "trunk": wherever_they_lie(config.models.trunk.name),
        "arguments": {k: v for k, v in wherever_they_lie(thaw(config.models.trunk.args)).items() if k != "weights"},
        "weights": state_hash(trunk),
        "input": repr(trunk.input),
        "outputs": ["pooled"],
        "precision": config.precision,
        "channels_last": config.channels_last,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "versions": [*(installed[name] for name in _LIBRARIES), torch.backends.cpu.get_cpu_capability()],
    }
