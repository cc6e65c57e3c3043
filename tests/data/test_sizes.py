import pytest
import torch
from torch import nn

from powerbench.data.sizes import refuse_size
from powerbench.errors import UserError
from powerbench.models.trunk import Trunk
from powerbench.models.trunk_contract import InputSpec


class Counted(nn.Module):
    """Averages over the image, and counts how often."""

    def __init__(self, kernel):
        super().__init__()
        self.convolution, self.passes = nn.Conv2d(3, 4, kernel), 0

    def forward(self, images):
        self.passes += 1
        return self.convolution(images).mean((2, 3))


def trunk_of(kernel=3):
    return Trunk(Counted(kernel), name="counted", width=4, input=InputSpec())


def test_a_network_is_asked_once_for_each_size():
    first, again, wider = trunk_of(), trunk_of(), trunk_of(kernel=5)
    for trunk in (first, again, wider):
        for size in (21, 23, 21):
            refuse_size(trunk, torch.zeros(1, 3, size, size), where="transforms/train")
    assert [trunk.network.passes for trunk in (first, again, wider)] == [2, 0, 2]


def test_a_refusal_is_repeated():
    for _ in range(2):
        with pytest.raises(UserError, match="does not take images of 4 x 4 pixels"):
            refuse_size(trunk_of(kernel=5), torch.zeros(1, 3, 4, 4), where="transforms/train")
