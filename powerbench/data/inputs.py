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
        ``part`` names the transform recipe (in ``train`` each view may have one of its own). What is random in it
        depends on ``seed`` and on the places of batch, item and view only. Only one iteration of a part may be under
        way at a time.
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
    views = config.transforms.of_views()
    recipes = {
        name: build_recipe(
            steps,
            where=f"config_transforms: transforms/{name}",
            on_device=config.augment_on == "device" and name != "eval",
        )
        for name, steps in {**views, "eval": config.transforms.eval}.items()
    }
    workers = dict.fromkeys(("train", *views), config.trainer.dataloader_num_workers)
    workers["eval"] = config.tester.dataloader_num_workers
    once = config.freeze_trunk and config.views is None  # features are kept instead
    kept = {} if once else decoded_images(config, dataset, recipes, places)
    of_views = {"train": tuple(views), "eval": ("eval",)}

    def make() -> ImageInputs:
        return ImageInputs(dataset, recipes, trunk.input, device=device, workers=workers, kept=kept, of_views=of_views)

    if config.freeze_trunk:
        return _frozen(config, dataset, trunk, make(), recipes, of_views, places, device)
    text = _text_of(config, dataset, trunk, recipes, workers, places, device)
    inputs = lent(text, make)
    if (fitting := (text, repr(config.models.trunk))) not in _fitting:
        for name in recipes:
            _refuse_size(trunk, inputs, name)
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
    random = [name for name, steps in config.transforms.of_views().items() if not is_deterministic(steps)]
    if config.views is None and random:
        raise UserError(
            "freeze_trunk keeps features, but the train transforms are random. Use deterministic ones (Resize, "
            "CenterCrop), or set views: V to keep the features of V random versions of each image.",
            where=f"transforms/{random[0]}",
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
    made = [(name, recipe.text, recipe.put_off, workers[name]) for name, recipe in recipes.items()]
    kept = (config.cache, config.cache_gigabytes, places.cache_dir)
    return repr((pixels_key(config, dataset), type(dataset), made, classes, trunk.input, device, kept))


def _refuse_size(trunk: ImageTrunk, inputs: ImageInputs | LentInputs, recipe: str) -> None:
    refuse_size(trunk, inputs.sample(recipe), where=f"config_transforms: transforms/{recipe}")


def _frozen(
    config: ExperimentConfig,
    dataset: Dataset,
    trunk: ImageTrunk,
    inputs: ImageInputs,
    recipes: dict[str, Recipe],
    of_views: dict[str, tuple[str, ...]],
    places: Places,
    device: torch.device,
) -> OpenedInputs:
    """Cached features of both parts, of each view's recipe; equal recipes share them."""
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    outputs = ("pooled", *dict.fromkeys(config.layers_to_extract))
    common = _common_key(config, dataset, trunk, outputs, device)
    folder = Path(places.cache_dir) / "features"

    def bank(name: str) -> np.ndarray:
        recipe = recipes[name]
        copies = 1 if recipe.deterministic else config.views or 1

        def compute() -> np.ndarray:
            _refuse_size(trunk, inputs, name)
            trunk.to(device).to(memory_format=layout)
            dtype = getattr(torch, config.precision)
            count = len(dataset.index)
            return compute_features(
                trunk, inputs, count, recipe=name, outputs=outputs, copies=copies, device=device, dtype=dtype
            )

        return kept_features(folder, {**common, "transforms": recipe.text, "copies": copies}, compute)

    first_of = {recipe.text: name for name, recipe in reversed(recipes.items())}
    banks = {name: bank(name) for name in first_of.values()}
    shared = {part: [first_of[recipes[name].text] for name in names] for part, names in of_views.items()}
    inputs.close()
    return OpenedInputs(FeatureInputs(banks, device, shared), FrozenTrunk(trunk, outputs))


def _common_key(
    config: ExperimentConfig, dataset: Dataset, trunk: ImageTrunk, outputs: tuple[str, ...], device: torch.device
) -> dict[str, object]:
    """Everything but the recipe that a feature depends on, down to its last bit."""
    installed = environment_of_process()
    return {
        "dataset": pixels_key(config, dataset),
        "trunk": wherever_they_lie(config.models.trunk.name),
        "arguments": {k: v for k, v in wherever_they_lie(thaw(config.models.trunk.args)).items() if k != "weights"},
        "weights": state_hash(trunk),
        "input": repr(trunk.input),
        "outputs": list(outputs),
        "precision": config.precision,
        "channels_last": config.channels_last,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "versions": [*(installed[name] for name in _LIBRARIES), torch.backends.cpu.get_cpu_capability()],
    }
