"""What a trunk needs of every image, whatever the recipe: channel order, value range, normalisation.

A batch is finished at once, where it is used: workers hand over bytes, not floats. All steps work value by value, so
that this equals finishing image by image, and a table says on a CPU what becomes of each of the 256 bytes.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from powerbench.errors import UserError
from powerbench.models.trunk_contract import InputSpec

Channels = tuple[float, float, float]


def finish(images: Tensor, spec: InputSpec) -> Tensor:
    """ConvertToBGR, to float in [0, 1], Multiplier(255), Normalize: what ``spec`` asks for, in this order.

    images: B x 3 x height x width, bytes, or floats in [0, 1]. The result is a new, contiguous float32 tensor.
    (Source: powerful-benchmarker, which appends the same steps to each recipe.)
    """
    if images.dim() != 4 or images.shape[1] != 3:
        raise UserError(f"the transforms give images of {images.shape[1:]} values; trunks need three channels.")
    if images.dtype != torch.uint8 or images.device.type != "cpu":
        return _computed(images, spec)
    from powerbench.data.tables import look_up  # importing a compiler takes longer than finishing a few batches

    finished, pixels = torch.empty(images.shape, dtype=torch.float32), images.numpy()
    table = _table(tuple(spec.mean), tuple(spec.std), tuple(spec.range))
    look_up(pixels[:, ::-1] if spec.space == "BGR" else pixels, table.numpy(), finished.numpy())
    return finished


def _computed(images: Tensor, spec: InputSpec) -> Tensor:
    finished = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    mean, std = (_channels(values, images.device) for values in (tuple(spec.mean), tuple(spec.std)))
    for channel in range(3):
        finished[:, channel] = images[:, 2 - channel if spec.space == "BGR" else channel]
    if images.dtype == torch.uint8:
        finished.div_(255)
    if spec.range != (0.0, 1.0):
        finished.mul_(spec.range[1])
    return finished.sub_(mean).div_(std)


@lru_cache
def _table(mean: Channels, std: Channels, range: tuple[float, float]) -> Tensor:
    """What becomes of each byte in each channel of the result (3 x 256)."""
    each = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    with torch.inference_mode(False):
        return _computed(each, InputSpec(mean, std, range=range)).view(3, 256)


@lru_cache
def _channels(values: Channels, device: torch.device) -> Tensor:
    """A number a channel (3 x 1 x 1); each is brought to a device once."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).view(3, 1, 1)
