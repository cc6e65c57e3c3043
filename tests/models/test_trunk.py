import copy

import pytest
import torch
from torch import nn

from powerbench.errors import UserError
from powerbench.models.batchnorm import freeze_batchnorm
from powerbench.models.trunk import Trunk
from powerbench.models.trunk_contract import InputSpec


def small_trunk(**settings):
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Trunk(network, name="small", width=5, input=InputSpec(), **settings)


def test_gives_the_outputs_asked_for_and_always_the_pooled_ones():
    classifier = nn.Linear(5, 7)
    trunk = small_trunk(pool="2", classifier=classifier).eval()
    images = torch.randn(2, 3, 8, 8)
    assert list(trunk(images)) == ["pooled"]
    found = trunk(images, ("logits", "map"))
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        "map": (2, 5, 6, 6),
        "pooled": (2, 5),
        "logits": (2, 7),
    }
    assert torch.equal(found["map"], trunk.network[:2](images))
    torch.testing.assert_close(found["logits"], classifier(found["pooled"]))
    assert trunk.widths == {"pooled": 5, "map": 5, "logits": 7}


def test_an_output_it_does_not_have_is_a_user_error():
    with pytest.raises(UserError, match=r"no output 'pooledd'; it has pooled. Did you mean pooled\?"):
        small_trunk()(torch.zeros(1, 3, 8, 8), ("pooledd",))


def test_a_classifier_is_neither_trained_nor_saved_and_may_lack_a_bias():
    trunk = small_trunk(classifier=nn.Linear(5, 7, bias=False)).eval()
    assert set(trunk.state_dict()) == set(trunk.network.state_dict())
    assert len(list(trunk.parameters())) == len(list(trunk.network.parameters()))
    assert trunk(torch.zeros(1, 3, 8, 8), ("logits",))["logits"].shape == (1, 7)


def test_state_has_the_network_s_names_at_any_depth():
    trunk = small_trunk()
    assert list(trunk.state_dict()) == list(trunk.network.state_dict())
    holder = nn.ModuleDict({"momentum": copy.deepcopy(trunk), "linear": nn.Linear(2, 2)})
    state = {name: torch.full_like(tensor, 2) for name, tensor in holder.state_dict().items()}
    assert "momentum.0.weight" in state
    holder.load_state_dict(state)
    assert (holder["momentum"].network[0].weight == 2).all()
    assert not (trunk.network[0].weight == 2).any()
    with pytest.raises(RuntimeError, match="Missing key"):
        trunk.load_state_dict({})


def test_a_copy_gives_its_own_map():
    trunk = small_trunk(pool="2").eval()
    twin = copy.deepcopy(trunk)
    with torch.no_grad():
        twin.network[0].weight.zero_()
    images = torch.randn(1, 3, 8, 8)
    assert not torch.equal(trunk(images, ("map",))["map"], twin(images, ("map",))["map"])


def test_frozen_batch_norm_keeps_its_statistics_and_trains_its_affine_weights():
    trunk = small_trunk().train()
    freeze_batchnorm(trunk)
    norm = trunk.network[1]
    statistics = norm.running_mean.clone()
    trunk(torch.randn(4, 3, 8, 8) + 3)["pooled"].sum().backward()
    assert torch.equal(statistics, norm.running_mean)
    assert trunk.network[0].training
    assert norm.weight.grad is not None
    assert norm.weight.grad.abs().sum() > 0
    trunk.train()
    trunk(torch.randn(4, 3, 8, 8) + 3)
    assert not torch.equal(statistics, norm.running_mean)
