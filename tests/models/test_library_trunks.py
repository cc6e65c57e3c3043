import pytest
import torch

from powerbench.errors import UserError
from powerbench.files import sha256_of
from powerbench.models.building import build_bare_trunk, build_trunk, weights_identity
from tests.data.making import config_of, places_in


def build(tmp_path, name, seed=0, **args):
    return build_trunk(config_of({name: {"pretrained": None, **args}}), places_in(tmp_path), seed=seed)


@pytest.mark.parametrize(
    ("name", "size", "widths"),
    [
        ("resnet18", 32, {"pooled": 512, "map": 512}),
        ("mobilenet_v3_small", 32, {"pooled": 1024, "map": 576}),
        ("inception_v3", 96, {"pooled": 2048, "map": 2048}),
        ("googlenet", 64, {"pooled": 1024, "map": 1024}),
        ("densenet121", 32, {"pooled": 1024}),
        ("resnet10t", 32, {"pooled": 512, "map": 512}),  # from here on: timm
        ("deit_tiny_distilled_patch16_224", 224, {"pooled": 192}),
    ],
)
def test_last_linear_layer_is_cut_off_and_training_gives_one_tensor(tmp_path, name, size, widths):
    trunk = build(tmp_path, name)
    assert trunk.widths == widths
    assert trunk.identity == f"{name}, random weights"
    assert trunk.input.space == "RGB"
    assert all(0.2 < value < 0.6 for value in trunk.input.mean + trunk.input.std)
    for training in (True, False):
        found = trunk.train(training)(torch.randn(2, 3, size, size), tuple(widths))
        assert {output: tensor.shape[1] for output, tensor in found.items()} == widths


def test_random_weights_depend_on_the_seed(tmp_path):
    first, again, other = (build(tmp_path, "resnet18", seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(first["conv1.weight"], again["conv1.weight"])
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    assert "network.conv1.weight" not in first


@pytest.mark.parametrize("name", ["squeezenet1_1", "tf_efficientnet_lite9"])
def test_what_cannot_be_a_trunk_is_refused(tmp_path, name):
    with pytest.raises(UserError):
        build(tmp_path, name)


def hub_file(tmp_path, name):
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder / name


def test_torchvision_weights_come_from_the_hub_folder(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(1)
    network = resnet18().eval()
    file = hub_file(tmp_path, "resnet18-f37072fd.pth")
    torch.save(network.state_dict(), file)
    config, places = config_of({"resnet18": {"pretrained": "imagenet"}}), places_in(tmp_path)
    hub = torch.hub.get_dir()
    trunk = build_trunk(config, places, seed=0).eval()
    assert torch.hub.get_dir() == hub
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(trunk(images, ("logits",))["logits"], network(images))
    assert trunk.identity == "resnet18, ImageNet"
    assert trunk.weights_hash == weights_identity(config, places) == sha256_of(file)


def test_timm_weights_come_from_the_hub_folder(tmp_path):
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(1)
    network = timm.create_model("resnet10t").eval()
    file = hub_file(tmp_path, "timm_resnet10t.c3_in1k.safetensors")
    save_file(network.state_dict(), file)
    config, places = config_of({"resnet10t": {"pretrained": True}}), places_in(tmp_path)
    trunk = build_trunk(config, places, seed=0).eval()
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(trunk(images, ("logits",))["logits"], network(images))
    assert trunk.identity == "resnet10t, ImageNet"
    assert weights_identity(config, places) == sha256_of(file)


@pytest.mark.parametrize("name", ["googlenet", "resnet10t"])
def test_a_bare_trunk_is_the_same_network_without_the_file_of_its_weights(tmp_path, name):
    import timm
    from safetensors.torch import save_file
    from torchvision.models import googlenet

    torch.manual_seed(1)
    if name == "googlenet":  # published weights make it transform its input
        torch.save(googlenet(init_weights=False).state_dict(), hub_file(tmp_path, "googlenet-1378be20.pth"))
    else:
        save_file(timm.create_model(name).state_dict(), hub_file(tmp_path, f"timm_{name}.c3_in1k.safetensors"))
    config = config_of({name: {"pretrained": "imagenet"}})
    trunk = build_trunk(config, places_in(tmp_path), seed=0).eval()
    bare = build_bare_trunk(config, places_in(tmp_path / "elsewhere")).eval()
    bare.load_state_dict(trunk.state_dict())
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(bare(images)["pooled"], trunk(images)["pooled"])
    assert bare.input == trunk.input
    assert bare.network.state_dict().keys() == trunk.network.state_dict().keys()


@pytest.mark.parametrize("name", ["resnet18", "resnet10t"])
def test_missing_weights_name_the_file_and_the_folder(tmp_path, name):
    config = config_of({name: {"pretrained": "imagenet"}})
    with pytest.raises(
        UserError, match=rf"{tmp_path}/torch/hub/checkpoints/\S*{name}.*was not tried.*pretrained: null"
    ):
        weights_identity(config, places_in(tmp_path), download=False)


def test_a_given_file_may_come_from_an_experiment(tmp_path):
    trunk = build(tmp_path, "resnet18", seed=3)
    torch.save(trunk.state_dict(), tmp_path / "trunk_best.pth")
    again = build(tmp_path, "resnet18", seed=4, weights=str(tmp_path / "trunk_best.pth"))
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in trunk.state_dict().items())
    assert again.identity == "resnet18, weights trunk_best.pth"
    assert "logits" not in again.widths


def test_weights_of_an_unknown_name_are_refused(tmp_path):
    config = config_of({"resnet18": {"weights": "IMAGENET1K_V7"}})
    with pytest.raises(UserError, match="it has IMAGENET1K_V1"):
        build_trunk(config, places_in(tmp_path), seed=0)
