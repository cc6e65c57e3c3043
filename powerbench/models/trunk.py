"""A network without its last linear layer, giving its outputs by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from powerbench.errors import UserError, nearest
from powerbench.models.trunk_contract import ImageTrunk, InputSpec

RANDOM = "random"
"""The weights hash of a trunk that starts from random weights."""

_PREFIX = "network."


class Trunk(ImageTrunk):
    """A network whose ``network(images)`` gives pooled features (B x width).

    pool: the name of the module whose input is the last feature map (B x channels x height x width),
    if there is one; it makes the output ``map``. classifier: the linear layer that was cut off, if its
    weights mean something; it makes the output ``logits``, and is neither trained nor saved. Further outputs are the
    averaged outputs of single layers, once :func:`powerbench.models.layers.offer_layers` has offered them.

    The state dict holds the network's own names, without a prefix, so that saved weights load into the
    bare network.
    """

    classifier_weight: Tensor
    classifier_bias: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        width: int,
        input: InputSpec,
        weights: str = "random weights",
        weights_hash: str = RANDOM,
        pool: str | None = None,
        map_width: int | None = None,
        classifier: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.pool = pool
        self.input = input
        self.identity = f"{name}, {weights}"
        self.weights_hash = weights_hash
        self.widths = {"pooled": width}
        self.layers: tuple[str, ...] = ()
        if pool is not None:
            self.widths["map"] = map_width or width
        if classifier is not None:
            self.widths["logits"] = classifier.out_features
            bias = classifier.bias.detach().clone() if classifier.bias is not None else None
            self.register_buffer("classifier_weight", classifier.weight.detach().clone(), persistent=False)
            self.register_buffer("classifier_bias", bias, persistent=False)
        self.register_state_dict_post_hook(_drop_prefix)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_add_prefix)  # type: ignore[no-untyped-call]

    def forward(self, images: Tensor, outputs: Sequence[str] = ("pooled",)) -> dict[str, Tensor]:
        """The ``outputs`` asked for, and ``pooled``, for B x 3 x height x width images.

        Raises UserError for an output this trunk does not offer (:attr:`widths` lists them).
        """
        refuse_unknown_outputs(self, outputs)
        found: dict[str, Tensor] = {}
        handles = [self._keep_layer(layer, found) for layer in self.layers if layer in outputs]
        if "map" in outputs and self.pool is not None:
            pool = self.network.get_submodule(self.pool)
            handles.append(pool.register_forward_pre_hook(lambda _, inputs: found.update(map=inputs[0])))
        try:
            found["pooled"] = self.network(images)
        finally:
            for handle in handles:
                handle.remove()
        if "logits" in outputs:
            found["logits"] = F.linear(found["pooled"], self.classifier_weight, self.classifier_bias)
        return found

    def _keep_layer(self, layer: str, found: dict[str, Tensor]) -> RemovableHandle:
        """Have each forward pass put the layer's averaged output into ``found``, until the handle is removed."""
        module = self.network.get_submodule(layer)
        return module.register_forward_hook(lambda module, inputs, output: found.update({layer: averaged(output)}))


def averaged(output: Any) -> Tensor:
    """What a layer gives as one row an image: a map (B x C x height x width) averaged over its places, a row as it is.

    A copy, because the next layer may work in place. Raises UserError for anything else.
    """
    if isinstance(output, Tensor) and output.dim() in (2, 4):
        return output.mean(dim=(2, 3)) if output.dim() == 4 else output.clone()
    raise UserError("a layer to extract gives neither a feature map nor a row of features for each image.")


def refuse_unknown_outputs(trunk: ImageTrunk, outputs: Sequence[str]) -> None:
    """Raise UserError if ``trunk`` does not offer one of ``outputs``."""
    for output in outputs:
        if output not in trunk.widths:
            raise UserError(
                f"the trunk ({trunk.identity}) has no output {output!r}; it has {', '.join(trunk.widths)}.",
                near=nearest(output, trunk.widths),
            )


def _drop_prefix(trunk: nn.Module, state: dict[str, Any], prefix: str, metadata: Mapping[str, Any]) -> None:
    for key in [key for key in state if key.startswith(prefix + _PREFIX)]:
        state[prefix + key[len(prefix) + len(_PREFIX) :]] = state.pop(key)


def _add_prefix(trunk: nn.Module, state: dict[str, Any], prefix: str, *others: Any) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        state[prefix + _PREFIX + key[len(prefix) :]] = state.pop(key)
