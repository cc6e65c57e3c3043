"""Models from the config."""

from __future__ import annotations

import inspect
import json
from functools import lru_cache

from torch import nn

from powerbench.classes import accepts, build, find_class, user_file
from powerbench.config.schema import ClassSpec, ExperimentConfig, thaw
from powerbench.errors import UserError
from powerbench.jobs import Places
from powerbench.models.layers import offer_layers
from powerbench.models.library import library_of, library_trunk, library_weights_file
from powerbench.models.trunk import RANDOM, Trunk
from powerbench.models.weights import file_hash
from powerbench.seeding import seeded


def build_trunk(config: ExperimentConfig, places: Places, *, seed: int) -> Trunk:
    """The trunk with its initial weights; ``seed`` gives the random ones.

    A trunk that is frozen whole (``freeze_trunk``) has no trainable parameters, and one with pretrained weights
    is then built once per process. Raises UserError if weights are missing or the class is no trunk.
    """
    spec = config.models.trunk
    if not config.freeze_trunk:
        trunk = _build(spec, places.pytorch_home, seed)
    elif weights_identity(config, places) == RANDOM:
        trunk = _frozen(_build(spec, places.pytorch_home, seed))
    else:
        trunk = _pretrained_frozen(spec.name, json.dumps(thaw(spec.args), sort_keys=True), places.pytorch_home)
    return offer_layers(trunk, config.layers_to_extract)


def build_bare_trunk(config: ExperimentConfig, places: Places) -> Trunk:
    """The trunk for saved weights to be loaded into; its pretrained ones are not read, and need not be there.

    (Except for a user's own trunk: what its arguments mean is not known.)
    """
    return offer_layers(_build_bare(config.models.trunk, places), config.layers_to_extract)


def _build_bare(spec: ClassSpec, places: Places) -> Trunk:
    if (library := library_of(find_class("trunk", spec.name))) is not None:
        return library_trunk(library, spec.name, thaw(spec.args), places.pytorch_home, bare=True)
    if user_file(spec.name) is not None:
        return _build(spec, places.pytorch_home, 0)
    unread = {key: None for key in ("pretrained", "weights") if accepts("trunk", spec.name, key)}
    return _build(ClassSpec.model_validate({spec.name: {**thaw(spec.args), **unread}}), places.pytorch_home, 0)


def build_embedder(config: ExperimentConfig, in_features: int, *, seed: int) -> nn.Module:
    """The embedder for features of width ``in_features``, with the random weights that ``seed`` gives."""
    with seeded(seed):
        return build_head(config.models.embedder, in_features)


def build_head(spec: ClassSpec, in_features: int, out_features: int | None = None) -> nn.Module:
    """A model on features of width ``in_features``: the embedder, or one of a method's that gives ``out_features``.

    Its random weights come from torch's generator. Raises UserError if the class is no torch.nn.Module.
    """
    given = {"in_features": in_features} | ({} if out_features is None else {"out_features": out_features})
    head = build("embedder", spec, **given)
    if not isinstance(head, nn.Module):
        raise UserError(f"{spec.name} is not an embedder: it must be a torch.nn.Module.")
    return head


def weights_identity(config: ExperimentConfig, places: Places, *, download: bool = True) -> str:
    """The hash of the trunk's file of initial weights, or ``random``, mostly without building the trunk.

    Raises UserError if the weights are missing (and could not be downloaded, or ``download`` is False).
    """
    spec = config.models.trunk
    factory = find_class("trunk", spec.name)
    if (library := library_of(factory)) is not None:
        file = library_weights_file(library, spec.name, spec.args, places.pytorch_home, download=download)
        return RANDOM if file is None else file_hash(file)
    finder = getattr(inspect.getmodule(factory), "weights_file", None)
    if finder is None:
        return _build(spec, places.pytorch_home, 0).weights_hash
    offered = {"pytorch_home": places.pytorch_home, "download": download}
    taken = {key: value for key, value in offered.items() if key in inspect.signature(finder).parameters}
    file = finder(**spec.args, **taken)
    return RANDOM if file is None else file_hash(file)


def _build(spec: ClassSpec, pytorch_home: str | None, seed: int) -> Trunk:
    library = library_of(find_class("trunk", spec.name))
    with seeded(seed):
        if library is not None:
            return library_trunk(library, spec.name, thaw(spec.args), pytorch_home)
        trunk = build("trunk", spec, pytorch_home=pytorch_home)
    if not isinstance(trunk, Trunk):
        raise UserError(f"{spec.name} is not a trunk: it must give a powerbench.models.trunk.Trunk.")
    return trunk


@lru_cache(maxsize=1)
def _pretrained_frozen(name: str, args: str, pytorch_home: str | None) -> Trunk:
    return _frozen(_build(ClassSpec.model_validate({name: json.loads(args)}), pytorch_home, 0))


def _frozen(trunk: Trunk) -> Trunk:
    trunk.requires_grad_(False)
    return trunk.eval()
