"""Value range of networks ported from Caffe."""

from __future__ import annotations

from torch import Tensor, nn


class Multiplier(nn.Module):
    """Multiply a float tensor by a number (``Multiplier(255)``: from [0, 1] to [0, 255])."""

    def __init__(self, multiple: float) -> None:
        super().__init__()
        self.multiple = multiple

    def forward(self, image: Tensor) -> Tensor:
        """The tensor times the number."""
        return image * self.multiple
