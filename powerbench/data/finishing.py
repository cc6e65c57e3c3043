"""What a trunk needs of every image, whatever the recipe: channel order, value range, normalisation.

A batch is finished at once, on the device where it is used: workers hand over bytes, not floats. All steps
work value by value, so that this equals finishing image by image.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from powerbench.errors import UserError
from powerbench.models.trunk_contract import InputSpec

IN_CACHE = 2**19
"""Bytes of floats that stay in a core's cache while all steps pass over them: a batch does not."""


def finish(images: Tensor, spec: InputSpec) -> Tensor:
    """ConvertToBGR, to float in [0, 1], Multiplier(255), Normalize: what ``spec`` asks for, in this order.

    images: B x 3 x height x width, bytes, or floats in [0, 1]. The result is a new, contiguous float32 tensor.
    (Source: powerful-benchmarker, which appends the same steps to each recipe.)
    """
    if images.dim() != 4 or images.shape[1] != 3:
        raise UserError(f"the transforms give images of {images.shape[1:]} values; trunks need three channels.")
    finished = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    mean, std = (_channels(tuple(values), images.device) for values in (spec.mean, spec.std))
    parts = -(-4 * images.numel() // IN_CACHE) if images.device.type == "cpu" else 1
    for given, made in zip(images.chunk(parts), finished.chunk(parts), strict=True):
        for channel in range(3):
            made[:, channel] = given[:, 2 - channel if spec.space == "BGR" else channel]
        if images.dtype == torch.uint8:
            made.div_(255)
        if spec.range != (0.0, 1.0):
            made.mul_(spec.range[1])
        made.sub_(mean).div_(std)
    return finished


@lru_cache
def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """A number a channel (3 x 1 x 1); each is brought to a device once."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).view(3, 1, 1)
