"""What a trunk needs of every image, whatever the recipe: channel order, value range, normalisation.

A batch is finished at once, on the device where it is used: workers hand over bytes, not floats. All steps
work value by value, so that this equals finishing image by image.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from powerbench.data.transforms.convert_to_bgr import ConvertToBGR
from powerbench.data.transforms.multiplier import Multiplier
from powerbench.errors import UserError
from powerbench.models.trunk_contract import InputSpec


def finish(images: Tensor, spec: InputSpec) -> Tensor:
    """ConvertToBGR, to float in [0, 1], Multiplier(255), Normalize: what ``spec`` asks for, in this order.

    images: B x 3 x height x width, bytes, or floats in [0, 1]. The result is a new, contiguous float32 tensor.
    (Source: powerful-benchmarker, which appends the same steps to each recipe.)
    """
    if images.dim() != 4 or images.shape[1] != 3:
        raise UserError(f"the transforms give images of {images.shape[1:]} values; trunks need three channels.")
    images = images.contiguous()
    if spec.space == "BGR":
        images = ConvertToBGR()(images)
    floats = images.float().div_(255) if images.dtype == torch.uint8 else images.float().clone()
    if spec.range != (0.0, 1.0):
        floats = Multiplier(spec.range[1])(floats)
    return floats.sub_(_channels(tuple(spec.mean), floats.device)).div_(_channels(tuple(spec.std), floats.device))


@lru_cache
def _channels(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """A number a channel (3 x 1 x 1); each is brought to a device once."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).view(3, 1, 1)
