import pretrainedmodels
import pytest
import torch

from powerbench.data.inputs import open_inputs
from powerbench.errors import UserError
from powerbench.files import sha256_of
from powerbench.models.building import build_trunk, weights_identity
from powerbench.models.trunks.bninception import _published, bninception
from tests.data.making import CPU, Noise, config_of, places_in


@pytest.fixture(scope="module")
def published():
    """A network as pretrainedmodels builds it, with batch norm statistics that are not the initial ones."""
    torch.manual_seed(3)
    network = pretrainedmodels.bninception(pretrained=None)
    for name, tensor in network.state_dict().items():
        if "running" in name:
            tensor.uniform_(0.5, 1.5)
    return network.eval()


def test_features_and_logits_are_those_of_pretrainedmodels_at_its_own_size(published, tmp_path):
    file = tmp_path / "bn.pth"
    torch.save(published.state_dict(), file)
    trunk = bninception(weights=str(file)).eval()
    images = torch.randn(2, 3, 224, 224) * 50
    with torch.no_grad():
        found = trunk(images, ("pooled", "map", "logits"))
        torch.testing.assert_close(found["map"], published.features(images))
        torch.testing.assert_close(found["logits"], published(images))
        torch.testing.assert_close(found["pooled"], found["map"].mean((2, 3)))
    assert trunk.widths == {"pooled": 1024, "map": 1024, "logits": 1000}
    assert trunk.identity == "bninception, weights bn.pth"
    assert trunk.weights_hash == sha256_of(file)


@pytest.mark.parametrize("name", ["bn_inception-52deb4733.pth", "bn_inception-9f5701afb96c8044.pth"])
def test_both_published_formats_load_from_the_hub_folder(published, tmp_path, name):
    state = dict(published.state_dict())
    if "9f57" in name:  # (1, C) batch norm tensors, no counters, the old file format
        state = {k: v[None] if "_bn." in k else v for k, v in state.items() if "num_batches" not in k}
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / name, _use_new_zipfile_serialization="9f57" not in name)
    config, places = config_of({"bninception": {"pretrained": "imagenet"}}), places_in(tmp_path)
    trunk = build_trunk(config, places, seed=0)
    assert trunk.identity == "bninception, ImageNet"
    assert trunk.weights_hash == weights_identity(config, places) == sha256_of(folder / name)
    for key, tensor in trunk.state_dict().items():
        if "num_batches" not in key:
            assert torch.equal(tensor, published.state_dict()[key]), key


def test_missing_weights_name_the_file_the_place_and_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr("powerbench.models.trunks.bninception.URL", "http://localhost:9/bn_inception-52deb4733.pth")
    config, places = config_of({"bninception": {"pretrained": "imagenet"}}), places_in(tmp_path)
    for attempt in (lambda: build_trunk(config, places, seed=0), lambda: weights_identity(config, places)):
        with pytest.raises(UserError) as caught:
            attempt()
        message = str(caught.value)
        assert str(tmp_path / "torch/hub/checkpoints/bn_inception-52deb4733.pth") in message
        assert "pretrained: null" in message
        assert "Connection refused" in message
    assert list(tmp_path.iterdir()) == []


def test_random_weights_depend_on_the_seed_alone(tmp_path):
    config, places = config_of({"bninception": {"pretrained": None}}), places_in(tmp_path)
    before = torch.get_rng_state()
    first, again, other = (build_trunk(config, places, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1_7x7_s2.weight"], other["conv1_7x7_s2.weight"])
    assert weights_identity(config, places) == "random"


def test_trains_at_64_pixels_and_its_saved_state_loads_the_published_way(tmp_path):
    trunk = bninception(pretrained=None)
    assert trunk.identity == "bninception, random weights"
    assert "logits" not in trunk.widths
    optimizer = torch.optim.SGD(trunk.parameters(), lr=0.01)
    before = trunk.state_dict()["conv1_7x7_s2.weight"].clone()
    trunk.train()(torch.randn(4, 3, 64, 64))["pooled"].square().mean().backward()
    optimizer.step()
    assert not torch.equal(before, trunk.state_dict()["conv1_7x7_s2.weight"])

    torch.save(trunk.state_dict(), tmp_path / "trunk_best.pth")
    network = pretrainedmodels.bninception(pretrained=None)
    network.last_linear = torch.nn.Identity()
    network.load_state_dict(torch.load(tmp_path / "trunk_best.pth", weights_only=True))

    images = torch.randn(1, 3, 64, 64)
    again = bninception(weights=str(tmp_path / "trunk_best.pth"))
    assert torch.equal(again.eval()(images)["pooled"], trunk.eval()(images)["pooled"])
    assert list(again.widths) == ["pooled", "map"]  # its classifier was not in the file


@pytest.mark.parametrize(("size", "near"), [(48, ("32 x 32", "64 x 64")), (80, ("64 x 64", "96 x 96"))])
def test_sizes_that_cannot_work_are_refused_with_the_nearest_that_do(tmp_path, size, near):
    config = config_of({"bninception": {"pretrained": None}}, train={"Resize": {"size": [size, size]}})
    trunk = build_trunk(config, places_in(tmp_path), seed=0)
    with pytest.raises(UserError, match=f"{size} x {size} pixels") as caught:
        open_inputs(config, Noise(), trunk, places_in(tmp_path), CPU)
    assert all(text in str(caught.value) for text in near)
    assert trunk.training
    assert all(module.training for module in trunk.modules())


def test_random_weights_are_those_of_pretrainedmodels_and_of_the_seed_alone(published):
    _published.cache_clear()
    before = torch.get_rng_state()
    module = _published()  # its package would draw from the generator when it is imported
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    network = module.bninception(pretrained=None)
    assert torch.equal(network.conv1_7x7_s2.weight, published.conv1_7x7_s2.weight)
    assert torch.equal(network.last_linear.weight, published.last_linear.weight)
