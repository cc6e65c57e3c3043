"""Random crops, resized."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional


class RandomResizedCrop(v2.RandomResizedCrop):  # type: ignore[misc]
    """torchvision's, with the same draws and the same values, in half the time on bytes.

    What is cut out is copied before it is resized, so that the three values of a pixel lie side by side: torchvision
    hands over a view, which torch first rearranges plane by plane.
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The crop that ``params`` (top, left, height, width) says, in the size of this transform."""
        if type(inpt) is not Tensor or inpt.dtype != torch.uint8:
            return super().transform(inpt, params)
        top, left = params["top"], params["left"]
        cut = inpt[..., top : top + params["height"], left : left + params["width"]]
        by_pixel = cut.permute(1, 2, 0).contiguous().permute(2, 0, 1)
        return functional.resize(by_pixel, self.size, interpolation=self.interpolation, antialias=self.antialias)
