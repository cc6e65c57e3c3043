"""The models in a folder of powerful-benchmarker are found under all names that they had, and loaded."""

import pytest
import torch
from torch import nn

from powerbench.errors import UserError
from powerbench.legacy.checkpoints import best_models, fold_folder, load_old_weights
from powerbench.models.embedders.mlp import MLP
from tests.legacy.old_folders import save_models

BOTH = {"trunk": {}, "embedder": {}}


def test_the_best_of_the_latest_epoch_counts(tmp_path):
    for suffix in ("2", "best", "best4", "best34", "40"):
        save_models(tmp_path, "a_0", {**BOTH, "trunk_optimizer": {}}, suffix)
    found = best_models(tmp_path, "a_0", list(BOTH))
    assert found.epoch == 34
    assert {name: path.name for name, path in found.files.items()} == {
        "trunk": "trunk_best34.pth",
        "embedder": "embedder_best34.pth",
    }


def test_a_number_too_long_for_an_epoch_is_none(tmp_path):
    save_models(tmp_path, "a_0", BOTH, f"best{'9' * 30}")
    with pytest.raises(UserError, match="holds no best models"):
        best_models(tmp_path, "a_0", list(BOTH))
    save_models(tmp_path, "a_0", BOTH, "best34")
    assert best_models(tmp_path, "a_0", list(BOTH)).epoch == 34


@pytest.mark.parametrize("name", ["PredefinedSplitScheme_0", "predefined"])
def test_a_predefined_split_had_two_names(tmp_path, name):
    save_models(tmp_path, name, BOTH, "best")
    found = best_models(tmp_path, "PredefinedSplitScheme_0", list(BOTH))
    assert found.epoch is None
    assert found.files["trunk"].parent == tmp_path / name / "saved_models"


def test_other_folds_are_named(tmp_path):
    save_models(tmp_path, "Test50_50_Partitions4_0", BOTH, "best2")
    with pytest.raises(
        UserError, match=r"no models of Test50_50_Partitions3_0.*there are those of Test50_50_Partitions4_0"
    ):
        fold_folder(tmp_path, "Test50_50_Partitions3_0")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_embedder_of_several_layers_is_loaded(tmp_path, prefix):
    torch.manual_seed(0)
    theirs = nn.ModuleDict({"net": nn.Sequential(nn.ReLU(), nn.Linear(4, 6), nn.Linear(6, 3))})
    theirs["last_linear"] = theirs["net"][-1]
    state = {f"{prefix}{name}": tensor for name, tensor in theirs.state_dict().items()}
    save_models(tmp_path, "a_0", {"embedder": state}, "best3")
    ours, features = MLP(4, [6, 3]), torch.randn(5, 4)
    loaded = load_old_weights(ours, tmp_path / "a_0/saved_models/embedder_best3.pth")
    assert sorted(loaded) == ["net.1.bias", "net.1.weight", "net.2.bias", "net.2.weight"]
    assert torch.equal(ours(features), theirs["net"](features))


def test_a_last_layer_of_its_own_does_not_fit(tmp_path):
    state = {**MLP(4, [3]).state_dict(), "last_linear.weight": torch.ones(3, 4)}
    save_models(tmp_path, "a_0", {"embedder": state}, "best3")
    with pytest.raises(
        UserError, match=r"embedder_best3\.pth does not fit the network: last_linear\.weight is unknown"
    ):
        load_old_weights(MLP(4, [3]), tmp_path / "a_0/saved_models/embedder_best3.pth")
