"""What a trunk is to everyone else: what its images must look like, and what it gives for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn


@dataclass(frozen=True)
class InputSpec:
    """The images a trunk was made for.

    mean, std: per channel, in the order of ``space`` and in the units of ``range``.
    space: order of the channels. range: values of black and white before normalisation.
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    space: Literal["RGB", "BGR"] = "RGB"
    range: tuple[float, float] = (0.0, 1.0)


class ImageTrunk(nn.Module):
    """A trunk, or its cached features: ``forward(images, outputs=("pooled",)) -> {name: tensor}``.

    widths: channels of each output it offers; ``pooled`` (B x width) is always one of them.
    input: the images it expects.
    weights_hash: SHA-256 of the file of its initial weights, or ``random``.
    identity: trunk and initial weights in words, for tables (``bninception, random weights``).
    """

    widths: dict[str, int]
    input: InputSpec
    weights_hash: str
    identity: str
