"""A transform recipe of the config, built: the part that can be kept, and the part that must be drawn anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from powerbench.classes import build
from powerbench.config.schema import ClassSpec, freeze, thaw
from powerbench.errors import UserError, nearest

DETERMINISTIC = frozenset(
    {"CenterCrop", "ConvertImageDtype", "Grayscale", "Identity", "Pad", "PILToTensor", "Resize", "RGB", "ToImage"}
)
"""Transforms whose result depends on the image only. Any other one is taken to be random."""

APPENDED = frozenset({"ConvertToBGR", "Multiplier", "Normalize"})
"""Transforms that every trunk gets as it needs them, at the end of each recipe."""

Step = Callable[[Any], Any]


@dataclass(frozen=True)
class Recipe:
    """Transforms in order: the deterministic ``head`` gives the same for an image each time, the ``tail`` may not."""

    head: tuple[Step, ...]
    tail: tuple[Step, ...]
    text: str

    @property
    def deterministic(self) -> bool:
        """Whether nothing is left to chance."""
        return not self.tail

    def start(self, image: Image.Image) -> Any:
        """An image after the deterministic head; ready to be stacked if that is all."""
        result: Any = image
        for step in self.head:
            result = step(result)
        return as_array(result) if self.deterministic else result

    def end(self, started: Any) -> np.ndarray:
        """What :meth:`start` gave after the rest, drawn from the global generators."""
        if self.deterministic:
            return np.asarray(started)
        for step in self.tail:
            started = step(started)
        return as_array(started)


def is_deterministic(steps: Sequence[ClassSpec]) -> bool:
    """Whether each step is known to depend on the image only."""
    return all(step.name in DETERMINISTIC for step in steps)


def build_recipe(steps: Sequence[ClassSpec], *, where: str) -> Recipe:
    """The recipe of the config key ``where``. Raises UserError if a transform refuses its arguments, or if it is
    one that is appended by itself."""
    for step in steps:
        if step.name in APPENDED:
            raise UserError(f"{step.name} is applied by itself, as the trunk needs it; leave it out.", where=where)
    built = [build("transform", ClassSpec.model_validate({step.name: _arguments(step, where)})) for step in steps]
    kept = next((i for i, step in enumerate(steps) if step.name not in DETERMINISTIC), len(steps))
    text = json.dumps([[step.name, thaw(step.args)] for step in steps])
    return Recipe(tuple(built[:kept]), tuple(built[kept:]), text)


def as_array(image: Any) -> np.ndarray:
    """A PIL image or a tensor (3 x height x width) as an array height x width x 3, bytes or floats."""
    if isinstance(image, Tensor):
        return np.ascontiguousarray(image.detach().permute(1, 2, 0).numpy())
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def stack(arrays: Sequence[np.ndarray]) -> Tensor:
    """Arrays height x width x 3 as one tensor B x 3 x height x width. Raises UserError if their sizes differ."""
    sizes = sorted({array.shape for array in arrays})
    if len(sizes) > 1:
        (h0, w0, *_), (h1, w1, *_) = sizes[:2]
        raise UserError(
            f"the transforms give images of different sizes ({w0} x {h0} and {w1} x {h1}), which cannot form a batch: "
            "end the recipe with a crop, or give Resize both sides (size: [height, width]).",
            where="config_transforms",
        )
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def _arguments(step: ClassSpec, where: str) -> Mapping[str, Any]:
    """Arguments that YAML writes by name and torchvision wants as values of its own: interpolations, policies, types,
    and the transforms inside of RandomApply, RandomChoice and RandomOrder."""
    from torch import dtype
    from torchvision.transforms import AutoAugmentPolicy, InterpolationMode

    args = dict(step.args)
    named: dict[str, dict[str, Any]] = {
        "interpolation": {mode.value: mode for mode in InterpolationMode},
        "policy": {policy.value: policy for policy in AutoAugmentPolicy},
        "dtype": {name: value for name, value in vars(torch).items() if isinstance(value, dtype)},
    }
    for key, known in named.items():
        if isinstance(args.get(key), str):
            name = args[key].lower()
            if name not in known:
                what = f"there is no {key} {name!r}."
                raise UserError(what, where=f"{where}/{step.name}", near=nearest(name, known))
            args[key] = known[name]
    if inner := inner_steps(step):
        built = build_recipe(inner, where=f"{where}/{step.name}/transforms")
        args["transforms"] = [*built.head, *built.tail]
    return freeze(args)  # type: ignore[no-any-return]


def inner_steps(step: ClassSpec) -> list[ClassSpec]:
    """The transforms inside of a transform, written ``transforms: {Name: {argument: value}, ...}``."""
    inside = step.args.get("transforms")
    if not isinstance(inside, Mapping):
        return []
    return [ClassSpec.model_validate({name: args}) for name, args in inside.items()]
