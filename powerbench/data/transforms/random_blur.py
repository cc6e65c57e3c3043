"""Random box blur."""

from __future__ import annotations

from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from powerbench.data.transforms.pixels import happens, on_bytes, whole_between
from powerbench.errors import UserError


class RandomBlur(nn.Module):
    """With probability ``p``, replace each pixel by the mean of the square around it, of odd side 3 to ``max_size``.

    The image is mirrored at its border pixels' centres. Images are PIL images or tensors of bytes (3 x height x width),
    larger than half of ``max_size``.

    Source: albumentations' Blur (``max_size`` is its blur_limit). torchvision has Gaussian blur only.
    """

    def __init__(self, max_size: int = 7, p: float = 0.5) -> None:
        super().__init__()
        if max_size < 3 or max_size % 2 == 0:
            raise UserError(f"RandomBlur: max_size must be odd and at least 3, not {max_size}")
        self.max_size, self.p = max_size, p

    def forward(self, image: Image.Image | Tensor) -> Image.Image | Tensor:
        """The image, perhaps changed; drawn from torch's global generator."""
        if not happens(self.p):
            return image
        side = 2 * whole_between(1, self.max_size // 2) + 1
        return on_bytes(image, lambda pixels: blurred(pixels, side))


def blurred(pixels: Tensor, side: int) -> Tensor:
    """Means over squares of odd ``side`` (3 x H x W)."""
    padded = F.pad(pixels[None].float(), (side // 2,) * 4, mode="reflect")
    return F.avg_pool2d(padded, side, stride=1)[0]
