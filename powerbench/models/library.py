"""Any trunk of torchvision or timm, by its name there.

Arguments of ours: ``pretrained: imagenet`` (or True, the default; null for random weights) and ``weights: file``
(a state dict to use instead). All others go to the library.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from powerbench.config.schema import thaw
from powerbench.errors import UserError
from powerbench.models.trunk import RANDOM, Trunk
from powerbench.models.trunk_contract import InputSpec
from powerbench.models.weights import file_hash, find_or_download, given_file, hub_folder, load_state, read_state

_CLASSIFIERS = ("fc", "last_linear", "classifier", "head", "heads")
_POOLS = ("global_pool", "avgpool", "head.global_pool")


def library_of(factory: Callable[..., Any]) -> str | None:
    """``torchvision`` or ``timm`` if that is where ``factory`` comes from."""
    function = factory.func if isinstance(factory, partial) else factory
    package = function.__module__.partition(".")[0]
    return package if package in ("torchvision", "timm") else None


def library_weights_file(
    library: str, name: str, args: Mapping[str, Any], pytorch_home: str | None, *, download: bool = True
) -> Path | None:
    """The file of initial weights, None for random ones. Raises UserError if it cannot be had."""
    if args.get("weights") is not None and Path(str(args["weights"])).suffix:
        return given_file(str(args["weights"]))
    if not args.get("pretrained", True) and args.get("weights") is None:
        return None
    folder = hub_folder(pytorch_home)
    if library == "timm":
        return _timm_file(name, folder, download)
    url = _torchvision_weights(name, args.get("weights")).url
    return find_or_download([url.rpartition("/")[2]], url, folder, trunk=name, download=download)


def refuse_arguments(factory: Callable[..., Any], name: str, args: Mapping[str, Any], *, where: str) -> None:
    """Raise UserError if a trunk of a library refuses its arguments; nothing is downloaded or computed for it."""
    own = {key: thaw(value) for key, value in args.items() if key not in ("pretrained", "weights")}
    if own:
        build = _build_timm if library_of(factory) == "timm" else _build_torchvision
        try:
            with torch.device("meta"):
                build(name, own, None, None)
        except (TypeError, ValueError, AssertionError, KeyError, RuntimeError) as error:
            raise UserError(f"{name} refuses its arguments {own}: {error}", where=where) from error


def library_trunk(
    library: str, name: str, args: Mapping[str, Any], pytorch_home: str | None, *, bare: bool = False
) -> Trunk:
    """Build a trunk of ``library`` and cut off its last linear layer.

    bare: its weights are not read, and need not be there; all else is as with them. Raises UserError if the network
    has no such layer, or if its weights cannot be had or do not fit.
    """
    file = None if bare else library_weights_file(library, name, args, pytorch_home)
    own = {key: value for key, value in args.items() if key not in ("pretrained", "weights")}
    is_given = file is not None and str(args.get("weights") or "").endswith(file.name)
    build = _build_timm if library == "timm" else _build_torchvision
    network, spec = build(name, own, _published(library, name, args), None if is_given else file)
    path, classifier = _last_linear(network, name)
    loaded = file is not None
    if file is not None and is_given:
        loaded = load_state(network, read_state(file), source=file, optional=path)
    _cut_off(network, path)
    width, pool, map_width = _measure(network, name, _size(network, own))
    return Trunk(
        network,
        name=name,
        width=width,
        input=spec,
        weights="random weights" if file is None else f"weights {file.name}" if is_given else "ImageNet",
        weights_hash=RANDOM if file is None else file_hash(file),
        pool=pool,
        map_width=map_width,
        classifier=classifier if loaded and width == classifier.in_features else None,
    )


def _published(library: str, name: str, args: Mapping[str, Any]) -> Any:
    """Torchvision's description of the published weights that are asked for; None for random ones, or a file."""
    wanted = args.get("weights")
    if library != "torchvision" or not (args.get("pretrained", True) or wanted) or Path(str(wanted)).suffix:
        return None
    return _torchvision_weights(name, wanted)


def _torchvision_weights(name: str, wanted: str | None) -> Any:
    from torchvision import models

    known = models.get_model_weights(name)
    if wanted is not None and wanted not in known.__members__:
        raise UserError(
            f"{name} has no weights {wanted!r}; it has {', '.join(known.__members__)}, or name a .pth file.",
            where="config_models: models/trunk",
        )
    if wanted is None:  # what pretrained=True has always meant there; a few networks have only others
        wanted = "IMAGENET1K_V1" if "IMAGENET1K_V1" in known.__members__ else "DEFAULT"
    return known[wanted]


def _build_torchvision(name: str, own: dict[str, Any], weights: Any, file: Path | None) -> tuple[nn.Module, InputSpec]:
    from torchvision import models

    if name in ("inception_v3", "googlenet"):
        own = {"init_weights": file is None and weights is None, **own}
    if file is None and weights is not None:
        own = {**_set_by_weights(name, weights), **own}
    with _hub_at(file):
        network = models.get_model(name, weights=weights if file else None, **own)
    if hasattr(network, "aux_logits"):  # in training mode these would give several outputs
        network.aux_logits = False
        for auxiliary in ("AuxLogits", "aux1", "aux2"):
            if hasattr(network, auxiliary):
                setattr(network, auxiliary, None)
    if weights is None:
        return network, InputSpec()
    settings = weights.transforms()
    return network, InputSpec(mean=tuple(settings.mean), std=tuple(settings.std))


def _set_by_weights(name: str, weights: Any) -> dict[str, Any]:
    """The arguments that torchvision sets by itself for a network with published weights."""
    if name in ("inception_v3", "googlenet"):
        return {"transform_input": True}
    return {"image_size": weights.meta["min_size"][0]} if name.startswith("vit_") else {}


@contextmanager
def _hub_at(file: Path | None) -> Iterator[None]:
    """Let torchvision find ``file`` in its folder of downloads."""
    before = torch.hub.get_dir()
    if file is not None:
        torch.hub.set_dir(str(file.parent.parent))
    try:
        yield
    finally:
        torch.hub.set_dir(before)


def _build_timm(name: str, own: dict[str, Any], weights: Any, file: Path | None) -> tuple[nn.Module, InputSpec]:
    import timm

    logging.getLogger("timm").setLevel(logging.WARNING)
    overlay = {"file": str(file), "source": ""} if file is not None else None
    network = timm.create_model(name, pretrained=file is not None, pretrained_cfg_overlay=overlay, **own)
    settings = network.pretrained_cfg
    return network, InputSpec(mean=tuple(settings["mean"]), std=tuple(settings["std"]))


def _timm_file(name: str, folder: Path, download: bool) -> Path:
    from timm.models import get_pretrained_cfg

    settings = get_pretrained_cfg(name)
    if settings is None or not settings.hf_hub_id:
        raise UserError(f"timm has no pretrained weights for {name}: set pretrained: null.", where="models/trunk")
    url = f"https://huggingface.co/{settings.hf_hub_id}/resolve/main/model.safetensors"
    stored = re.sub(r"[^\w.-]", "_", settings.hf_hub_id) + ".safetensors"
    return find_or_download([stored], url, folder, trunk=name, download=download)


def _last_linear(network: nn.Module, name: str) -> tuple[str, nn.Linear]:
    linears = {path: module for path, module in network.named_modules() if isinstance(module, nn.Linear)}
    ends = [path for path in linears if path.partition(".")[0] in _CLASSIFIERS]
    if not ends:
        raise UserError(f"{name} does not end in a linear layer, so it cannot be a trunk.", where="models/trunk")
    return ends[-1], linears[ends[-1]]


def _cut_off(network: nn.Module, path: str) -> None:
    reset: Any = getattr(network, "reset_classifier", None)
    if reset is not None:  # timm knows how to do it in each of its networks
        reset(0)
    else:
        network.set_submodule(path, nn.Identity())


def _size(network: nn.Module, own: Mapping[str, Any]) -> int:
    """An image size that the network certainly takes."""
    settings = getattr(network, "pretrained_cfg", None)
    size = own.get("img_size") or getattr(network, "image_size", None)
    return int(size or (settings["input_size"][-1] if settings else 224))


def _measure(network: nn.Module, name: str, size: int) -> tuple[int, str | None, int | None]:
    """The width of the pooled features, and the pooling module and the channels of the map it is given."""
    paths = {path for path, _ in network.named_modules()}
    pool = next((path for path in _POOLS if path in paths), None)
    maps: list[torch.Tensor] = []
    if pool is not None:
        handle = network.get_submodule(pool).register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
    was_training = network.training
    with torch.no_grad():
        pooled = network.eval()(torch.zeros(1, 3, size, size))
    network.train(was_training)
    if pool is not None:
        handle.remove()
    if not isinstance(pooled, torch.Tensor) or pooled.dim() != 2:
        raise UserError(f"{name} does not give one row of features an image, so it cannot be a trunk.")
    is_map = len(maps) == 1 and maps[0].dim() == 4
    return pooled.shape[1], pool if is_map else None, maps[0].shape[1] if is_map else None
