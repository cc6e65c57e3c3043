import pytest
import torch

from powerbench.errors import UserError
from powerbench.models.building import build_trunk, weights_identity
from tests.data.making import config_of, places_in

OWN = """
from torch import nn
from powerbench.models.trunk_contract import InputSpec
from powerbench.models.trunk import Trunk

def mine(width=4):
    network = nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Trunk(network, name="mine", width=width, input=InputSpec())

def other():
    return nn.Linear(3, 3)
"""


def test_a_user_s_own_trunk_is_built_with_its_arguments(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    config, places = config_of({f"{tmp_path}/own.py:mine": {"width": 6}}), places_in(tmp_path)
    assert build_trunk(config, places, seed=0)(torch.zeros(2, 3, 5, 5))["pooled"].shape == (2, 6)
    assert weights_identity(config, places) == "random"


def test_what_gives_no_trunk_is_refused(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(UserError, match="not a trunk"):
        build_trunk(config_of({f"{tmp_path}/own.py:other": None}), places_in(tmp_path), seed=0)


def test_an_unknown_trunk_is_refused_with_the_nearest_names(tmp_path):
    with pytest.raises(UserError, match="Did you mean bninception"):
        build_trunk(config_of({"bninceptoin": None}), places_in(tmp_path), seed=0)


def test_a_frozen_pretrained_trunk_is_built_once_and_has_nothing_to_train(tmp_path):
    config = config_of({"efficientnet_lite0": None}, freeze_trunk=True)
    first, second = (build_trunk(config, places_in(tmp_path), seed=seed) for seed in (1, 2))
    assert first is second
    assert not any(parameter.requires_grad for parameter in first.parameters())
    assert weights_identity(config, places_in(tmp_path)) == first.weights_hash


def test_a_frozen_random_trunk_depends_on_the_seed(tmp_path):
    config = config_of({"resnet18": {"pretrained": None}}, freeze_trunk=True)
    first, second = (build_trunk(config, places_in(tmp_path), seed=seed) for seed in (1, 2))
    assert not torch.equal(first.state_dict()["conv1.weight"], second.state_dict()["conv1.weight"])
    assert not any(parameter.requires_grad for parameter in second.parameters())
