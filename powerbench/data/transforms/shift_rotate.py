"""Random rotation and shift with mirrored borders."""

from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from powerbench.data.transforms.pixels import between, happens, on_bytes


class ShiftRotate(nn.Module):
    """With probability ``p``, rotate about the centre by up to ``rotate_limit`` degrees and shift by up to
    ``shift_limit`` of width and height. What lay outside is mirrored at the border pixels' centres; bilinear.

    Images are PIL images or tensors of bytes (3 x height x width).

    Source: albumentations' ShiftScaleRotate with scale_limit 0, as Divide and Conquer uses it. torchvision's
    RandomAffine fills the outside with one colour.
    """

    def __init__(self, shift_limit: float = 0.0625, rotate_limit: float = 45.0, p: float = 0.5) -> None:
        super().__init__()
        self.shift_limit, self.rotate_limit, self.p = shift_limit, rotate_limit, p

    def forward(self, image: Image.Image | Tensor) -> Image.Image | Tensor:
        """The image, perhaps changed; drawn from torch's global generator."""
        if not happens(self.p):
            return image
        degrees = between(-self.rotate_limit, self.rotate_limit)
        right, down = (between(-self.shift_limit, self.shift_limit) for _ in range(2))
        return on_bytes(image, lambda pixels: shifted_and_rotated(pixels, degrees, right, down))


def shifted_and_rotated(pixels: Tensor, degrees: float, right: float, down: float) -> Tensor:
    """An image (3 x H x W) rotated anticlockwise about (W / 2, H / 2), then shifted by shares of width and height."""
    height, width = pixels.shape[-2:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x = torch.arange(width, dtype=torch.float32)[None, :] - width / 2 - right * width
    y = torch.arange(height, dtype=torch.float32)[:, None] - height / 2 - down * height
    source_x = cosine * x - sine * y + width / 2
    source_y = sine * x + cosine * y + height / 2
    grid = torch.stack([source_x * 2 / max(1, width - 1) - 1, source_y * 2 / max(1, height - 1) - 1], dim=-1)
    return F.grid_sample(pixels[None].float(), grid[None], padding_mode="reflection", align_corners=True)[0]
