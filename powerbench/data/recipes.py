"""A transform recipe of the config, built: the part that can be kept, and the part that must be drawn anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from powerbench.classes import build, user_file
from powerbench.config.schema import ClassSpec, freeze, thaw
from powerbench.data.taps import Undeveloped
from powerbench.errors import UserError, nearest

DETERMINISTIC = frozenset(
    {"CenterCrop", "ConvertImageDtype", "Grayscale", "Identity", "Pad", "PILToTensor", "Resize", "RGB", "ToImage"}
)
"""Transforms whose result depends on the image only. Any other one is taken to be random."""

CONVERSIONS = frozenset(
    {"ConvertImageDtype", "PILToTensor", "ToDtype", "ToImage", "ToPILImage", "ToPureTensor", "ToTensor"}
)
"""Transforms that are there to give the next ones a certain form of image."""

ON_BYTES = frozenset(
    {
        *("CenterCrop", "RandomCrop", "RandomHorizontalFlip", "RandomResizedCrop", "RandomVerticalFlip"),
        *("CoarseDropout", "RandomBlur", "RandomBrightnessContrast", "ShiftRotate"),
    }
)
"""Transforms that are faster on tensors of bytes than on PIL images (colours are not: of the others, most)."""

APPENDED = frozenset({"ConvertToBGR", "Multiplier", "Normalize"})
"""Transforms that every trunk gets as it needs them, at the end of each recipe."""

Step = Callable[[Any], Any]
Form = Literal["bytes", "image", "as it comes"]


@dataclass(frozen=True)
class Recipe:
    """Transforms in order. The ``head`` ends with the last Resize before chance comes in: it is worth keeping.

    The ``tail``, which costs little more than copying, or is random, follows each time; ``forms`` says on what each
    of its steps works, and ``put_off`` how many of its last steps are drawn like the others but computed later, on the
    device (:mod:`powerbench.data.put_off`). ``text`` tells apart all recipes, ``head_text`` all heads.
    """

    head: tuple[Step, ...]
    tail: tuple[Step, ...]
    forms: tuple[Form, ...]
    text: str
    head_text: str
    deterministic: bool
    put_off: int = 0

    def start(self, image: Image.Image) -> np.ndarray:
        """An image after the head: height x width x 3, bytes."""
        for step in self.head:
            image = step(image)
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))

    def end(self, started: np.ndarray) -> Tensor:
        """What :meth:`start` gave after the tail, drawn from the global generators: 3 x height x width."""
        image: Any = torch.from_numpy(started).permute(2, 0, 1)
        now = len(self.tail) - self.put_off
        for step, form in zip(self.tail[:now], self.forms[:now], strict=True):
            image = step(_in_form(image, form))
        if self.put_off:
            from powerbench.data.put_off import noted

            return noted(_as_tensor(image), self.tail[now:])
        return _as_tensor(image)

    def together(self, images: Sequence[Tensor]) -> Tensor | Undeveloped:
        """What :meth:`end` gave, as a batch. Raises UserError if the images' sizes differ."""
        if self.put_off:
            from powerbench.data.put_off import undeveloped

            return undeveloped(images)
        return stack(images)


def is_deterministic(steps: Sequence[ClassSpec]) -> bool:
    """Whether each step is known to depend on the image only."""
    return all(step.name in DETERMINISTIC for step in steps)


def build_recipe(steps: Sequence[ClassSpec], *, where: str, on_device: bool = False) -> Recipe:
    """The recipe of the config key ``where``. Raises UserError if a transform refuses its arguments, if it is one
    that is appended by itself, or if the random steps are to run on the device but cannot."""
    for step in steps:
        if step.name in APPENDED:
            raise UserError(f"{step.name} is applied by itself, as the trunk needs it; leave it out.", where=where)
    built = [build("transform", ClassSpec.model_validate({step.name: _arguments(step, where)})) for step in steps]
    kept = _length_of_head([step.name for step in steps])
    text, head_text = (json.dumps([[step.name, thaw(step.args)] for step in part]) for part in (steps, steps[:kept]))
    forms = _forms(steps[kept:])
    put_off = 0
    if on_device:
        from powerbench.data.put_off import steps_put_off

        put_off = steps_put_off(steps, where=where)
    return Recipe(tuple(built[:kept]), tuple(built[kept:]), forms, text, head_text, is_deterministic(steps), put_off)


def stack(images: Sequence[Tensor]) -> Tensor:
    """Images 3 x height x width as one tensor B x 3 x height x width; planes or pixels stay together in memory as they
    were, which copies fastest. Raises UserError if the images' sizes differ."""
    refuse_different_sizes((image.shape[1], image.shape[2]) for image in images)
    if images[0].stride(0) == 1:
        return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)
    return torch.stack(list(images))


def refuse_different_sizes(sizes: Iterable[tuple[int, int]]) -> None:
    """Raise UserError unless all images have one size (height, width)."""
    different = sorted(set(sizes))
    if len(different) > 1:
        (h0, w0), (h1, w1), *_ = different
        raise UserError(
            f"the transforms give images of different sizes ({w0} x {h0} and {w1} x {h1}), which cannot form a batch: "
            "end the recipe with a crop, or give Resize both sides (size: [height, width]).",
            where="config_transforms",
        )


def _length_of_head(names: Sequence[str]) -> int:
    """The steps up to the last Resize among the first ones that depend on the image only and leave it an image."""
    first = list(takewhile(lambda name: name in DETERMINISTIC - CONVERSIONS, names))
    return max((place + 1 for place, name in enumerate(first) if name == "Resize"), default=0)


def _forms(steps: Sequence[ClassSpec]) -> tuple[Form, ...]:
    """On what each step works: the faster form; from the first on that converts, or is the user's own, what the
    former gives."""
    forms: list[Form] = []
    for step in steps:
        if forms and (forms[-1] == "as it comes" or any(map(_gives_its_own_form, _inmost(steps[len(forms) - 1])))):
            forms.append("as it comes")
        else:
            forms.append("bytes" if all(name in ON_BYTES for name in _inmost(step)) else "image")
    return tuple(forms)


def _gives_its_own_form(name: str) -> bool:
    return name in CONVERSIONS or user_file(name) is not None


def _inmost(step: ClassSpec) -> list[str]:
    """The names of the transforms inside of a transform, or its own if there are none."""
    return [name for inner in inner_steps(step) for name in _inmost(inner)] or [step.name]


def _in_form(image: Any, form: Form) -> Any:
    if form == "bytes":
        return _as_tensor(image)
    if form == "image" and isinstance(image, Tensor):
        return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    return image


def _as_tensor(image: Any) -> Tensor:
    """A PIL image or a tensor as a tensor 3 x height x width."""
    if isinstance(image, Tensor):
        return image.detach()
    if not isinstance(image, Image.Image):
        raise UserError(f"the transforms give a {type(image).__name__}, not an image.", where="config_transforms")
    return torch.from_numpy(np.array(image if image.mode == "RGB" else image.convert("RGB"))).permute(2, 0, 1)


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
