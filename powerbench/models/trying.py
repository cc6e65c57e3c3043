"""Passing something through a network only to see what it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def trying(network: nn.Module) -> Iterator[torch.device]:
    """While this lasts the network is in evaluation mode and keeps no gradients; gives the device that it is on."""
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    finally:
        for module, training in was_training.items():
            module.training = training
