"""Channel order of networks ported from Caffe."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor, nn


class ConvertToBGR(nn.Module):
    """Swap the red and the blue channel of a PIL image or a tensor (... x 3 x height x width)."""

    def forward(self, image: Image.Image | Tensor) -> Image.Image | Tensor:
        """The image with its channels reversed."""
        if isinstance(image, Tensor):
            return image.flip(-3)
        return Image.fromarray(np.ascontiguousarray(np.asarray(image)[..., ::-1]))
