"""Images whose random crops and flips are drawn on the CPU and computed later, batch by batch, on the device.

torchvision's transforms draw and check as ever; what they would do to an image is noted instead (:class:`PutOff`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional
from torchvision.tv_tensors import Image

from powerbench.config.schema import ClassSpec
from powerbench.data.recipes import CONVERSIONS, DETERMINISTIC, refuse_different_sizes
from powerbench.data.taps import Taps, Undeveloped, developed, gathered, resized, whole
from powerbench.errors import UserError

RESIZING, FLIPS = "RandomResizedCrop", ("RandomHorizontalFlip", "RandomVerticalFlip")
CAN_WAIT = ("RandomCrop", RESIZING, *FLIPS)
"""Transforms that the device can do: a crop and resizing of it, then flips."""


class PutOff(Image):  # type: ignore[misc]
    """An image (3 x height x width, bytes) and the rows and columns that are to become of its own."""

    rows: Taps
    columns: Taps

    def to_become(self, rows: Taps, columns: Taps) -> PutOff:
        """The same image with other rows and columns."""
        return _put_off(self, rows, columns)


def noted(image: Tensor, steps: Iterable[Callable[[Any], Any]]) -> PutOff:
    """An image (3 x height x width, bytes) and what random steps, drawn now, would do to it."""
    found = _put_off(image, whole(image.shape[1]), whole(image.shape[2]))
    for step in steps:
        found = step(found)
    return found


def undeveloped(images: Sequence[Tensor]) -> Undeveloped:
    """What :func:`noted` gave, as a batch. Raises UserError if the images' sizes would differ."""
    put_off = [image for image in images if isinstance(image, PutOff)]
    refuse_different_sizes((len(image.rows), len(image.columns)) for image in put_off)
    pixels = (image.as_subclass(Tensor).permute(1, 2, 0).numpy() for image in put_off)
    return gathered([(own, image.rows, image.columns) for own, image in zip(pixels, put_off, strict=True)])


def _put_off(image: Tensor, rows: Taps, columns: Taps) -> PutOff:
    found = image.as_subclass(PutOff)
    found.rows, found.columns = rows, columns
    return found


def steps_put_off(steps: Sequence[ClassSpec], *, where: str) -> int:
    """How many of a recipe's last steps the device can do: all from the first random one on.

    Raises UserError, naming the step, if a random one has to run on the CPU, and if this CPU would resize otherwise.
    """
    first = next((place for place, step in enumerate(steps) if step.name not in DETERMINISTIC), len(steps))
    for step in steps[:first]:
        if step.name in CONVERSIONS:
            raise _refused(step.name, where)
    for place, step in enumerate(steps[first:], first):
        earlier = {other.name for other in steps[first:place]}
        if step.name not in CAN_WAIT or _has_own_way(step.args):
            raise _refused(step.name, where)
        if step.name not in FLIPS and earlier & ({RESIZING, *FLIPS} if step.name == RESIZING else {RESIZING}):
            raise _refused(f"{step.name} after {' and '.join(sorted(earlier))}", where)
    if any(step.name == RESIZING for step in steps[first:]) and not resizes_with_whole_weights():
        what = "this CPU resizes images otherwise than the device would (it has no AVX2); leave augment_on: workers."
        raise UserError(what, where=where)
    return len(steps) - first


@cache
def resizes_with_whole_weights() -> bool:
    """Whether torchvision resizes bytes on this CPU as :mod:`powerbench.data.taps` computes it, seen on an image."""
    image = (torch.arange(31 * 29 * 3) * 37 % 256).to(torch.uint8).view(31, 29, 3).permute(2, 0, 1)

    def resized_crop(given: Tensor) -> Any:
        return functional.resized_crop(given, 2, 3, 25, 21, [13, 17], antialias=True)

    return torch.equal(developed(undeveloped([noted(image, [resized_crop])]))[0], resized_crop(image))


def _has_own_way(args: Any) -> bool:
    """Whether a step pads, or resizes otherwise than by the default."""
    bilinear = str(args.get("interpolation", "bilinear")).lower() in ("bilinear", "2")
    pads = args.get("padding") is not None or bool(args.get("pad_if_needed"))
    return pads or not bilinear or not args.get("antialias", True)


def _refused(what: str, where: str) -> UserError:
    return UserError(
        f"augment_on: device is for recipes whose random steps are {', '.join(CAN_WAIT)} (without padding, bilinear, "
        f"flips last); {what} runs on the CPU only. Leave augment_on: workers.",
        where=where,
    )


def _size(image: PutOff) -> list[int]:
    return [len(image.rows), len(image.columns)]


def _crop(image: PutOff, top: int, left: int, height: int, width: int) -> PutOff:
    return image.to_become(image.rows.cut(top, height), image.columns.cut(left, width))


def _resized_crop(
    image: PutOff,
    top: int,
    left: int,
    height: int,
    width: int,
    size: list[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> PutOff:
    """Of an image that was cropped at most: its taps are single pixels."""
    first = int(image.rows.first[top]), int(image.columns.first[left])
    rows, columns = (resized(length, to) for length, to in zip((height, width), size, strict=True))
    return image.to_become(rows.after(first[0]), columns.after(first[1]))


def _horizontal_flip(image: PutOff) -> PutOff:
    return image.to_become(image.rows, image.columns.reversed())


def _vertical_flip(image: PutOff) -> PutOff:
    return image.to_become(image.rows.reversed(), image.columns)


_NOTES = {
    functional.get_size: _size,
    functional.crop: _crop,
    functional.resized_crop: _resized_crop,
    functional.horizontal_flip: _horizontal_flip,
    functional.vertical_flip: _vertical_flip,
}
for _function, _note in _NOTES.items():
    functional.register_kernel(_function, PutOff)(_note)
