"""Random black rectangles."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor, nn

from powerbench.data.transforms.pixels import happens, on_bytes, whole_between
from powerbench.errors import UserError


class CoarseDropout(nn.Module):
    """With probability ``p``, blacken ``min_holes`` to ``max_holes`` rectangles of the given pixels.

    Number, sizes and places are uniform; a rectangle lies inside of the image and may overlap others. A minimum left
    out is the maximum, as published: Divide and Conquer's holes are 40 x 40. Images are PIL images or tensors of bytes
    (3 x height x width).

    Source: albumentations' CoarseDropout. torchvision's RandomErasing cuts one rectangle, by area.
    """

    def __init__(
        self,
        max_holes: int = 8,
        max_height: int = 8,
        max_width: int = 8,
        min_holes: int | None = None,
        min_height: int | None = None,
        min_width: int | None = None,
        p: float = 0.5,
    ) -> None:
        super().__init__()
        self.holes = _range("holes", min_holes, max_holes)
        self.height = _range("height", min_height, max_height)
        self.width = _range("width", min_width, max_width)
        self.p = p

    def forward(self, image: Image.Image | Tensor) -> Image.Image | Tensor:
        """The image, perhaps changed; drawn from torch's global generator."""
        return on_bytes(image, self._dropped) if happens(self.p) else image

    def _dropped(self, pixels: Tensor) -> Tensor:
        pixels = pixels.clone()
        rows, columns = pixels.shape[-2:]
        for _ in range(whole_between(*self.holes)):
            height, width = min(rows, whole_between(*self.height)), min(columns, whole_between(*self.width))
            top, left = whole_between(0, rows - height), whole_between(0, columns - width)
            pixels[..., top : top + height, left : left + width] = torch.zeros((), dtype=pixels.dtype)
        return pixels


def _range(what: str, low: int | None, high: int) -> tuple[int, int]:
    low = high if low is None else low
    if not 1 <= low <= high:
        raise UserError(f"CoarseDropout: min_{what} ({low}) must be at least 1 and at most max_{what} ({high})")
    return low, high
