"""Random change of brightness and contrast by one line for all pixels."""

from __future__ import annotations

from PIL import Image
from torch import Tensor, nn

from powerbench.data.transforms.pixels import between, happens, on_bytes


class RandomBrightnessContrast(nn.Module):
    """With probability ``p``, value * (1 + a) + 255 * b, with a up to +-``contrast_limit`` and b up to
    +-``brightness_limit``, clipped and cut to whole numbers.

    Images are PIL images or tensors of bytes (3 x height x width).

    Source: albumentations' transform of that name. torchvision's ColorJitter changes brightness by a factor, and
    contrast about the image's mean.
    """

    def __init__(self, brightness_limit: float = 0.2, contrast_limit: float = 0.2, p: float = 0.5) -> None:
        super().__init__()
        self.brightness_limit, self.contrast_limit, self.p = brightness_limit, contrast_limit, p

    def forward(self, image: Image.Image | Tensor) -> Image.Image | Tensor:
        """The image, perhaps changed; drawn from torch's global generator."""
        if not happens(self.p):
            return image
        contrast = between(-self.contrast_limit, self.contrast_limit)
        brightness = between(-self.brightness_limit, self.brightness_limit)
        return on_bytes(
            image, lambda pixels: (pixels.float() * (1 + contrast) + 255 * brightness).clamp(0, 255).floor()
        )
