"""Transforms of ours compute on bytes, whatever form the image has."""

from __future__ import annotations

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional


def on_bytes(image: Image.Image | Tensor, change: Callable[[Tensor], Tensor]) -> Image.Image | Tensor:
    """The image after ``change``, which takes bytes (3 x height x width) and gives bytes or floats of their range.

    Floats are rounded. The result is of the image's own kind: a PIL image (RGB), or a tensor of bytes.
    """
    if isinstance(image, Tensor):
        return change(image).round().clamp(0, 255).to(torch.uint8)
    changed = change(functional.pil_to_tensor(image if image.mode == "RGB" else image.convert("RGB")))
    made: Image.Image = functional.to_pil_image(changed.round().clamp(0, 255).to(torch.uint8))
    return made


def happens(p: float) -> bool:
    """Whether something of probability ``p`` happens, drawn from torch's global generator."""
    return float(torch.rand(())) < p


def between(low: float, high: float) -> float:
    """A number drawn uniformly."""
    return low + (high - low) * float(torch.rand(()))


def whole_between(low: int, high: int) -> int:
    """A whole number drawn uniformly, both ends included."""
    return int(torch.randint(low, high + 1, ()))
