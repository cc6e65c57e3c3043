import pytest
import torch
from torch import nn

from powerbench.errors import UserError
from powerbench.models.building import build_embedder
from powerbench.models.embedders.mlp import MLP
from tests.data.making import config_of


def test_one_size_is_one_bare_linear_layer():
    mlp = MLP(6, [4])
    features = torch.randn(3, 6)
    assert [type(layer) for layer in mlp.net] == [nn.Linear]
    torch.testing.assert_close(mlp(features), features @ mlp.net[0].weight.T + mlp.net[0].bias)


def test_a_relu_stands_before_each_layer_but_the_last():
    mlp = MLP(6, (5, 4, 3))
    assert [type(layer) for layer in mlp.net] == [nn.ReLU, nn.Linear, nn.ReLU, nn.Linear, nn.Linear]
    assert [(layer.in_features, layer.out_features) for layer in mlp.net if isinstance(layer, nn.Linear)] == [
        (6, 5),
        (5, 4),
        (4, 3),
    ]


@pytest.mark.parametrize("sizes", [[], [0], [3.5], [-1]])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(UserError, match="layer_sizes"):
        MLP(6, sizes)


def test_is_built_from_the_config_with_weights_that_depend_on_the_seed_alone():
    config = config_of(layer_sizes=[7, 4])
    first, again, other = (build_embedder(config, 10, seed=seed) for seed in (5, 5, 6))
    assert first(torch.zeros(2, 10)).shape == (2, 4)
    assert torch.equal(first.net[1].weight, again.net[1].weight)
    assert not torch.equal(first.net[1].weight, other.net[1].weight)


def test_a_class_that_is_no_module_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text("class Half:\n    def __init__(self, in_features): pass\n")
    config = config_of()
    plain = config.plain()
    plain["models"]["embedder"] = {f"{tmp_path}/mine.py:Half": None}
    with pytest.raises(UserError, match="not an embedder"):
        build_embedder(type(config).from_plain(plain), 4, seed=0)
