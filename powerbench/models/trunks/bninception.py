"""BN-Inception (Ioffe and Szegedy, 2015) as ported by Cadene's pretrainedmodels: the trunk of "A Metric Learning
Reality Check"."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from torch import nn

from powerbench.models.trunk import RANDOM, Trunk
from powerbench.models.trunk_contract import InputSpec
from powerbench.models.weights import file_hash, find_or_download, given_file, hub_folder, load_state, read_state

URL = "http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth"
FILES = ("bn_inception-52deb4733.pth", "bn_inception-9f5701afb96c8044.pth")
INPUT = InputSpec(mean=(104.0, 117.0, 128.0), std=(1.0, 1.0, 1.0), space="BGR", range=(0.0, 255.0))
WIDTH = 1024


@cache
def _published() -> Any:
    """The one module of pretrainedmodels that is needed.

    Importing the package builds two large networks, which takes half a second and draws from torch's global generator:
    random weights would depend on whether it was imported before.
    """
    (package,) = find_spec("pretrainedmodels").submodule_search_locations  # type: ignore[union-attr, misc]
    spec = spec_from_file_location("pretrainedmodels_bninception", Path(package, "models", "bninception.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights_file(
    pretrained: str | bool | None = "imagenet",
    weights: str | None = None,
    *,
    pytorch_home: str | None = None,
    download: bool = True,
) -> Path | None:
    """The file of initial weights, None for random ones. Raises UserError if it cannot be had."""
    if weights is not None:
        return given_file(weights)
    if not pretrained:
        return None
    return find_or_download(FILES, URL, hub_folder(pytorch_home), trunk="bninception", download=download)


def bninception(
    pretrained: str | bool | None = "imagenet", weights: str | None = None, *, pytorch_home: str | None = None
) -> Trunk:
    """BN-Inception for images of (nearly) any multiple of 32 pixels; its fixed 7 x 7 pooling became adaptive.

    pretrained: ``imagenet``, or null for random weights. weights: a file to use instead, in either of the two
    published formats or as saved by an experiment. Features are 1024 wide.
    """
    file = weights_file(pretrained, weights, pytorch_home=pytorch_home)
    network = _published().bninception(num_classes=1000, pretrained=None)
    network.global_pool = nn.AdaptiveAvgPool2d(1)
    has_classifier = file is not None and load_state(network, read_state(file), source=file, optional="last_linear")
    classifier, network.last_linear = network.last_linear, nn.Identity()
    source = "random weights" if file is None else "ImageNet" if weights is None else f"weights {file.name}"
    return Trunk(
        network,
        name="bninception",
        width=WIDTH,
        input=INPUT,
        weights=source,
        weights_hash=RANDOM if file is None else file_hash(file),
        pool="global_pool",
        classifier=classifier if has_classifier else None,
    )
