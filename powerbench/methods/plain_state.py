"""The state that library modules keep outside of their parameters and buffers.

pytorch-metric-learning's losses and miners hold some of what they remember as plain attributes
(the place in CrossBatchMemory's queue, for one), which ``state_dict`` leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

_PLAIN = (bool, int, float, str, Tensor)


def plain_state(modules: nn.Module) -> dict[str, dict[str, Any]]:
    """Numbers, strings and tensors that the modules below ``modules`` hold as attributes, by module path."""
    found = {}
    for path, module in modules.named_modules():
        values = {name: value for name, value in vars(module).items() if type(value) in _PLAIN and name != "training"}
        if values:
            found[path] = values
    return found


def load_plain_state(modules: nn.Module, state: Mapping[str, Mapping[str, Any]]) -> None:
    """Set the attributes that :func:`plain_state` found."""
    for path, values in state.items():
        vars(modules.get_submodule(path)).update(values)
