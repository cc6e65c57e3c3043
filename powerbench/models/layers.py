"""Outputs of single layers of a trunk, by the layers' names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from powerbench.errors import UserError, nearest
from powerbench.models.trunk import Trunk
from powerbench.models.trying import trying

_WHERE = "config_models: layers_to_extract"
_SIZES = (224, 299, 96, 32)
"""Sizes of an image to look at a trunk with; the number of channels does not depend on it."""


def offer_layers(trunk: Trunk, layers: Sequence[str]) -> Trunk:
    """Make the outputs of ``layers`` (names of modules inside of the network) further outputs of ``trunk``.

    A feature map is averaged over its places. The same trunk is returned. Raises UserError for a name that is not
    there, and for a layer that gives no features.
    """
    if not layers:
        return trunk
    names = [name for name, _ in trunk.network.named_modules() if name]
    for layer in layers:
        if layer not in names:
            near = nearest(layer, names)
            raise UserError(f"the trunk ({trunk.identity}) has no layer {layer!r}.", where=_WHERE, near=near)
    trunk.layers = tuple(dict.fromkeys(layers))
    trunk.widths |= dict.fromkeys(trunk.layers, 0)
    found = _outputs(trunk)
    if absent := [layer for layer in trunk.layers if layer not in found]:
        raise UserError(f"the trunk ({trunk.identity}) does not use its layer {absent[0]}.", where=_WHERE)
    trunk.widths |= {layer: found[layer].shape[1] for layer in trunk.layers}
    return trunk


def _outputs(trunk: Trunk) -> dict[str, Tensor]:
    """The outputs for a black image of the first size that the network takes."""
    with trying(trunk) as device:
        for size in _SIZES:
            try:
                found: dict[str, Tensor] = trunk(torch.zeros(1, 3, size, size, device=device), trunk.layers)
                return found
            except (RuntimeError, AssertionError, ValueError) as error:
                said = error
    raise UserError(f"the layers of the trunk ({trunk.identity}) cannot be looked at: {said}", where=_WHERE)
