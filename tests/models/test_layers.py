import pytest
import torch
from torch import nn

from powerbench.errors import UserError
from powerbench.models.building import build_bare_trunk, build_trunk
from powerbench.models.layers import offer_layers
from powerbench.models.trunk import Trunk
from powerbench.models.trunk_contract import InputSpec
from tests.data.making import config_of, places_in


class Forked(nn.Module):
    """A layer that is used, one that is not, and one that gives several tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3))
        self.idle = nn.Linear(2, 2)
        self.split = Split()
        self.fc = nn.Identity()

    def forward(self, images):
        first, second = self.split(self.deep(images))
        return self.fc(first + second)


class Split(nn.Module):
    def forward(self, maps):
        return maps.mean((2, 3)), maps.amax((2, 3))


def forked():
    torch.manual_seed(0)
    return Trunk(Forked(), name="forked", width=5, input=InputSpec())


def test_layers_are_averaged_over_their_places():
    trunk = offer_layers(forked(), ["deep.0", "deep.1", "fc", "deep.0"])
    assert trunk.widths == {"pooled": 5, "deep.0": 4, "deep.1": 5, "fc": 5}
    images = torch.randn(2, 3, 9, 9)
    found = trunk(images, ("deep.0", "fc"))
    assert list(found) == ["deep.0", "fc", "pooled"]
    maps = trunk.network.deep[0](images)
    torch.testing.assert_close(found["deep.0"], maps.flatten(2).mean(2))
    assert torch.equal(found["fc"], found["pooled"])
    assert list(trunk(images)) == ["pooled"]
    found["deep.0"].sum().backward()
    assert trunk.network.deep[0].weight.grad is not None


def test_looking_at_a_trunk_leaves_its_mode_alone():
    trunk = forked()
    trunk.network.deep[1].eval()
    offer_layers(trunk, ["fc"])
    assert (trunk.network.deep[0].training, trunk.network.deep[1].training) == (True, False)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ("deep.2", "has no layer 'deep.2'.*Did you mean deep"),
        ("idle", "does not use its layer idle"),
        ("split", "neither a feature map nor a row"),
    ],
)
def test_other_layers_are_refused(layer, told):
    with pytest.raises(UserError, match=told):
        offer_layers(forked(), [layer])


def test_the_published_layers_of_inception_v3_are_there_trained_or_bare(tmp_path):
    config = config_of({"inception_v3": {"pretrained": None}}, layers_to_extract=["Mixed_6e", "fc"])
    for trunk in (build_trunk(config, places_in(tmp_path), seed=0), build_bare_trunk(config, places_in(tmp_path))):
        assert (trunk.widths["Mixed_6e"], trunk.widths["fc"], trunk.widths["pooled"]) == (768, 2048, 2048)
