"""What a typed config must satisfy beyond types: classes that exist and take their arguments, and rules across keys.

The libraries that define the classes are imported here, and only here in this package.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from powerbench.arguments import signature_of
from powerbench.class_folders import own_names
from powerbench.classes import Where, build, check_arguments, find_class, parse_spec, user_file
from powerbench.config.about_method import AboutMethod
from powerbench.config.check_losses import check_loss
from powerbench.config.merged import MergedConfig
from powerbench.config.schema import AUGMENTATION, ClassSpec, ExperimentConfig, Trainer
from powerbench.config.search_keys import search_keys
from powerbench.config.typed import typed
from powerbench.errors import UserError, nearest

SPLITS = ("train", "val", "test")
SCHEDULERS = ("scheduler_by_iteration", "scheduler_by_epoch", "scheduler_by_plateau")
OPTIMIZER_EXTRAS = (*SCHEDULERS, "clip_grad_norm")
LOSS_INJECTED = ("num_classes", "embedding_size")
SAMPLER_INJECTED = ("labels", "label_levels", "batch_size")
METHOD_INJECTED = ("config", "facts", "trunk")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_AUGMENTATION = re.compile(rf"{AUGMENTATION}\d+")


def check(config: ExperimentConfig, merged: MergedConfig) -> AboutMethod:
    """Raise UserError, with file, key and nearest valid names, for the first thing that cannot work.

    ``config`` holds one value of every searched key; the other values of searched lists are checked in its place.
    Returns what the method says of ``config``.
    """
    about = _check_one(config, merged)
    for plain in _other_choices(config.plain(), merged):
        other = _check_one(typed(plain, merged), merged)
        if other.joined_embedders != about.joined_embedders:
            raise UserError(
                "a search cannot choose the length of the measured embedding, which belongs to the protocol: give "
                "share_embedding_size one value.",
                where=merged.where(("trainer", config.trainer.name)),
            )
    return about


def _check_one(config: ExperimentConfig, merged: MergedConfig) -> AboutMethod:
    _check_plain_rules(config, merged)
    _check_data(config, merged)
    _check_models(config, merged)
    _check_losses(config, merged)
    _check_transforms(config, merged)
    about = _check_method(config, merged)
    _check_optimizers(config, merged)
    return about


def _other_choices(plain: dict[str, Any], merged: MergedConfig) -> Iterator[dict[str, Any]]:
    """``plain`` with one value of a searched list after the other."""
    for key in search_keys(merged):
        for value in key.value[1:] if key.choices else ():
            is_users = isinstance(value, str) and user_file(value) is not None
            if not is_users and (changed := _with_value(plain, key.keys, value)) is not None:
                yield changed


def _with_value(node: Any, keys: tuple[str, ...], value: Any) -> Any:
    """A copy of nested mappings with another value under a path; None if there is no such path."""
    if not keys:
        return value
    if not isinstance(node, Mapping) or keys[0] not in node:
        return None
    inside = _with_value(node[keys[0]], keys[1:], value)
    return None if inside is None else {**node, keys[0]: inside}


def _check_plain_rules(config: ExperimentConfig, merged: MergedConfig) -> None:
    for split in config.splits_to_eval:
        if split not in SPLITS:
            where = merged.where("splits_to_eval")
            raise UserError(
                f"there is no split {split!r}; there are {', '.join(SPLITS)}.", where=where, near=nearest(split, SPLITS)
            )
    if not _DEVICE.fullmatch(config.device):
        raise UserError(f"device is auto, cpu, cuda or cuda:N, not {config.device!r}.", where=merged.where("device"))


def _check_data(config: ExperimentConfig, merged: MergedConfig) -> None:
    _check_spec("dataset", config.dataset, ("dataset",), merged, ("dataset_root",))
    _check_spec("split_manager", config.split_manager, ("split_manager",), merged)
    _built("split_manager", config.split_manager, merged.where(("split_manager", config.split_manager.name)))
    _check_spec("sampler", config.sampler, ("sampler",), merged, SAMPLER_INJECTED)
    parameters = signature_of(find_class("sampler", config.sampler.name)).parameters
    default = parameters["m"].default if "m" in parameters else None
    m, batch_size = config.sampler.args.get("m", default), config.trainer.batch_size
    if isinstance(m, int) and (m < 1 or batch_size % m):
        what = f"batch_size {batch_size} is no multiple of the sampler's m, {m}."
        raise UserError(what, where=merged.where(("sampler", config.sampler.name, "m")))
    if config.sampler.name in own_names("sampler"):  # a user's own may look at labels that only a dataset has
        labels, where = _some_labels(), merged.where(("sampler", config.sampler.name))
        _built("sampler", config.sampler, where, labels=labels[:, 0], label_levels=labels, batch_size=batch_size)


def _some_labels() -> Any:
    import numpy as np

    return np.zeros((2, 2), dtype=np.int64)


def _check_models(config: ExperimentConfig, merged: MergedConfig) -> None:
    trunk, embedder = config.models.trunk, config.models.embedder
    _check_trunk(trunk, merged)
    path = ("models", "embedder")
    _check_spec("embedder", embedder, path, merged, ("in_features",))
    _built("embedder", embedder, merged.where((*path, embedder.name)), in_features=2)
    for name, spec in (config.models.__pydantic_extra__ or {}).items():
        _check_spec("embedder", spec, ("models", name), merged, ("in_features", "out_features"))
        where = merged.where(("models", name, spec.name))
        _built("embedder", spec, where, in_features=2, out_features=2)


def _check_trunk(trunk: ClassSpec, merged: MergedConfig) -> None:
    """Trunks of ours take known arguments; those of torchvision and timm show when they are built."""
    from powerbench.models.library import refuse_arguments

    path = ("models", "trunk", trunk.name)
    if trunk.name in own_names("trunk") or user_file(trunk.name) is not None:
        _check_spec("trunk", trunk, path[:-1], merged, ("pytorch_home",))
    else:
        factory = find_class("trunk", trunk.name, where=merged.where(path))
        refuse_arguments(factory, trunk.name, trunk.args, where=merged.where(path))


def _check_losses(config: ExperimentConfig, merged: MergedConfig) -> None:
    from torch import nn

    for name, spec in config.loss_funcs.items():
        path = ("loss_funcs", name)
        if spec.name == "MultipleLosses":
            what = "several losses are written as several entries of loss_funcs; the trainer's loss_weights weigh them."
            raise UserError(what, where=merged.where(path))
        _check_spec("loss", spec, path, merged, LOSS_INJECTED)
        loss = _built("loss", spec, merged.where((*path, spec.name)), num_classes=2, embedding_size=2)
        if not isinstance(loss, nn.Module):
            raise UserError(f"{spec.name} is not a loss: it must be a torch.nn.Module.", where=merged.where(path))
        if any(parameter.requires_grad for parameter in loss.parameters()):
            _require_optimizer(name, spec, config, merged)
        check_loss(name, loss, config, merged)
    for name, spec in config.mining_funcs.items():
        _check_spec("miner", spec, ("mining_funcs", name), merged)


def _require_optimizer(name: str, spec: ClassSpec, config: ExperimentConfig, merged: MergedConfig) -> None:
    """A loss with weights of its own (proxies, a learnt margin) would otherwise keep its random ones."""
    if f"{name}_optimizer" not in config.optimizers:
        raise UserError(
            f"{spec.name} has weights to train, but there is no {name}_optimizer. Add one with --config_optimizers "
            "[default, with_metric_loss_optimizer], or under optimizers.",
            where=merged.where(("loss_funcs", name, spec.name)),
            near=nearest(f"{name}_optimizer", config.optimizers),
        )


def _check_method(config: ExperimentConfig, merged: MergedConfig) -> AboutMethod:
    """Its arguments, and what it says itself of the config, if its class can be asked (``check(config)``)."""
    spec = ClassSpec.model_construct(name=config.trainer.name, args=config.trainer.args)
    common = [name for name in Trainer.model_fields if name not in ("name", "args")]
    _check_spec("method", spec, ("trainer",), merged, METHOD_INJECTED, common)
    asked = getattr(find_class("method", config.trainer.name), "check", None)
    try:
        about: AboutMethod = AboutMethod() if asked is None else asked(config)
    except UserError as error:
        where = None if error.where is None else merged.where(error.where)
        raise UserError(error.what, where=where, near=error.near) from None
    return about


def _check_optimizers(config: ExperimentConfig, merged: MergedConfig) -> None:
    for name, spec in config.optimizers.items():
        path = ("optimizers", name)
        _check_optimizer_name(name, config, merged.where(path))
        inside = (*path, spec.name)
        own = {key: value for key, value in spec.args.items() if key not in OPTIMIZER_EXTRAS}
        own_spec = ClassSpec.model_construct(name=spec.name, args=own)
        _check_spec("optimizer", own_spec, path, merged, ("params",), OPTIMIZER_EXTRAS)
        optimizer = _built("optimizer", own_spec, merged.where(inside), params=_a_parameter())
        if "closure" in signature_of(optimizer.step).required():
            what = f"{spec.name} evaluates the loss several times a step, which no method here does; take another one."
            raise UserError(what, where=merged.where(inside))
        for key in SCHEDULERS:
            if spec.args.get(key) is not None:
                _check_scheduler(spec.args[key], optimizer, merged, (*inside, key))
        clip = spec.args.get("clip_grad_norm")
        if clip is not None and (type(clip) not in (int, float) or clip <= 0):
            where = merged.where((*inside, "clip_grad_norm"))
            raise UserError(f"clip_grad_norm is a number above 0, not {clip!r}.", where=where)


def _check_scheduler(value: Any, optimizer: Any, merged: MergedConfig, path: tuple[str, ...]) -> None:
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    name, args = parse_spec(value, where=merged.where(path))
    spec = ClassSpec.model_construct(name=name, args=args)
    _check_spec("scheduler", spec, path, merged, ("optimizer",))
    bases = getattr(find_class("scheduler", name), "__mro__", ())
    if LRScheduler in bases and (ReduceLROnPlateau in bases) != (path[-1] == "scheduler_by_plateau"):
        places = ("scheduler_by_plateau",) if ReduceLROnPlateau in bases else SCHEDULERS[:2]
        raise UserError(f"{name} must stand under {' or '.join(places)}.", where=merged.where((*path, name)))
    _built("scheduler", spec, merged.where((*path, name)), optimizer=optimizer)


def _a_parameter() -> list[Any]:
    import torch

    return [torch.nn.Parameter(torch.zeros(1, 1))]


def _check_optimizer_name(name: str, config: ExperimentConfig, where: str) -> None:
    """``X_optimizer`` trains the module X. Methods with modules of their own list them as ``own_modules``."""
    own: Iterable[str] = getattr(find_class("method", config.trainer.name), "own_modules", ())
    models = ["trunk", "embedder", *(config.models.__pydantic_extra__ or {})]
    modules = dict.fromkeys([*models, "metric_loss", *config.loss_funcs, *config.mining_funcs, *own])
    valid = [f"{module}_optimizer" for module in modules]
    if name not in valid:
        what = f"{name} belongs to no module (there could be: {', '.join(valid)})."
        raise UserError(what, where=where, near=nearest(name, valid))


def _check_transforms(config: ExperimentConfig, merged: MergedConfig) -> None:
    """Transforms accept their arguments; a frozen trunk's features, computed once, need images that do not change."""
    from powerbench.data.recipes import build_recipe, inner_steps, is_deterministic

    further = config.transforms.__pydantic_extra__ or {}
    for name in further:
        if not _AUGMENTATION.fullmatch(name):
            valid = ["train", "eval", f"{AUGMENTATION}1", f"{AUGMENTATION}2"]
            what = f"recipes are called train and eval, and those of single views {AUGMENTATION}1, {AUGMENTATION}2, ..."
            raise UserError(what, where=merged.where(("transforms", name)), near=nearest(name, valid))
    for name, steps in {"train": config.transforms.train, "eval": config.transforms.eval, **further}.items():
        for step in steps:
            _check_spec("transform", step, ("transforms", name), merged)
            for inner in inner_steps(step):
                _check_spec("transform", inner, ("transforms", name, step.name, "transforms"), merged)
        on_device = config.augment_on == "device" and name != "eval"
        build_recipe(steps, where=merged.where(("transforms", name)), on_device=on_device)
    if config.views is not None and not config.freeze_trunk:
        what = f"views: {config.views} keeps features of a frozen trunk, but freeze_trunk is False; leave views out."
        raise UserError(what, where=merged.where("views"))
    for name, steps in config.transforms.of_views().items():
        if config.freeze_trunk and config.views is None and not is_deterministic(steps):
            names = ", ".join(step.name for step in steps)
            what = (
                f"freeze_trunk computes each image's features once, but transforms/{name} ({names}) is random. Use "
                "deterministic transforms (as in --config_transforms [demo]), or views: V for a bank of V random views."
            )
            raise UserError(what, where=merged.where("freeze_trunk"))


def _check_spec(
    kind: str,
    spec: ClassSpec,
    path: tuple[str, ...],
    merged: MergedConfig,
    injected: Collection[str] = (),
    also_valid: Collection[str] = (),
) -> None:
    """The class exists and takes its arguments."""
    where = _where(merged, (*path, spec.name))
    check_arguments(kind, spec.name, spec.args, where=where, injected=injected, also_valid=also_valid)


def _where(merged: MergedConfig, path: tuple[str, ...]) -> Where:
    return lambda keys: merged.where((*path, *keys))


def _built(kind: str, spec: ClassSpec, where: str, **injected: Any) -> Any:
    """An object of the class, made only to see whether it accepts its arguments."""
    from powerbench.seeding import seeded

    try:
        with seeded(0):
            return build(kind, spec, **injected)
    except (ValueError, RuntimeError, UserError) as error:
        if isinstance(error, UserError):
            raise UserError(error.what, where=where, near=error.near) from error
        raise UserError(f"{spec.name} refuses its arguments: {error}", where=where) from error
