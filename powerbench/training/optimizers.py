"""One optimiser a module: ``X_optimizer`` of the config trains the module ``X``.

Beside the arguments of its class from torch.optim an optimiser takes ``clip_grad_norm`` (the largest norm
of the module's gradient) and schedulers: ``scheduler_by_iteration`` (stepped after every step of the
optimiser), ``scheduler_by_epoch`` and ``scheduler_by_plateau`` (stepped with the primary metric after each
validation; its ``mode`` is ``max`` unless given).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from powerbench.classes import build, parse_spec
from powerbench.config.schema import ClassSpec, ExperimentConfig, freeze
from powerbench.errors import UserError, nearest
from powerbench.methods.contract import Update

CLIP = "clip_grad_norm"
BY_ITERATION, BY_EPOCH, BY_PLATEAU = "scheduler_by_iteration", "scheduler_by_epoch", "scheduler_by_plateau"
EXTRAS = (CLIP, BY_ITERATION, BY_EPOCH, BY_PLATEAU)

Parameters = Mapping[str, list[nn.Parameter]]


class ModuleOptimizer:
    """The optimiser of one module with its schedulers."""

    def __init__(self, spec: ClassSpec, parameters: list[nn.Parameter]) -> None:
        own = {key: value for key, value in spec.args.items() if key not in EXTRAS}
        own_spec = ClassSpec.model_construct(name=spec.name, args=freeze(own))
        self.parameters = parameters
        self.optimizer: torch.optim.Optimizer = build("optimizer", own_spec, params=parameters)
        self.clip: float | None = spec.args.get(CLIP)
        self.schedulers = {
            when: _scheduler(when, spec.args[when], self.optimizer)
            for when in (BY_ITERATION, BY_EPOCH, BY_PLATEAU)
            if spec.args.get(when) is not None
        }

    def step(self, scaler: torch.amp.GradScaler) -> None:
        """Clip and step; nothing where no gradient arrived."""
        if all(parameter.grad is None for parameter in self.parameters):
            return
        if self.clip is not None:
            scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.clip)
        scaler.step(self.optimizer)
        if BY_ITERATION in self.schedulers:
            self.schedulers[BY_ITERATION].step()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        schedulers = {when: scheduler.state_dict() for when, scheduler in self.schedulers.items()}
        return {"optimizer": self.optimizer.state_dict(), "schedulers": schedulers}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore it."""
        self.optimizer.load_state_dict(state["optimizer"])
        for when, scheduler in self.schedulers.items():
            scheduler.load_state_dict(state["schedulers"][when])


class Optimizers:
    """The optimisers of all trained modules.

    Raises UserError if a trained module has none, or if one is configured for a module that does not exist.
    """

    def __init__(self, config: ExperimentConfig, parameters: Parameters, device: torch.device) -> None:
        self.config = config
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        self.by_module: dict[str, ModuleOptimizer] = {}
        _check_names(config, parameters)
        self.refresh(parameters)

    def refresh(self, parameters: Parameters) -> None:
        """Build the optimisers of modules whose parameters are new or were exchanged; drop those of gone modules."""
        for name, own in parameters.items():
            known = self.by_module.get(name)
            if known is None or not _same(known.parameters, own):
                spec = self.config.optimizers.get(f"{name}_optimizer")
                if spec is None:
                    raise _missing(name, self.config)
                self.by_module[name] = ModuleOptimizer(spec, own)
        self.by_module = {name: self.by_module[name] for name in parameters}

    def step(self, update: Update) -> Tensor:
        """Minimise the weighted sum of an update's losses by one step; returns that sum, detached."""
        total = weighted_sum(update)
        for optimizer in self.by_module.values():
            optimizer.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        for name in self.by_module if update.optimizers is None else update.optimizers:
            self.by_module[name].step(self.scaler)
        self.scaler.update()
        return total.detach()

    def end_epoch(self) -> None:
        """Step the schedulers by epoch."""
        for optimizer in self.by_module.values():
            if BY_EPOCH in optimizer.schedulers:
                optimizer.schedulers[BY_EPOCH].step()

    def end_validation(self, value: float) -> None:
        """Step the schedulers by plateau with the primary metric."""
        for optimizer in self.by_module.values():
            if BY_PLATEAU in optimizer.schedulers:
                optimizer.schedulers[BY_PLATEAU].step(value)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        modules = {name: optimizer.state() for name, optimizer in self.by_module.items()}
        return {"modules": modules, "scaler": self.scaler.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore it."""
        for name, optimizer in self.by_module.items():
            optimizer.load_state(state["modules"][name])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])


def weighted_sum(update: Update) -> Tensor:
    """The scalar that an update minimises."""
    terms = [loss * update.weights[name] if name in update.weights else loss for name, loss in update.losses.items()]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _scheduler(when: str, value: Any, optimizer: torch.optim.Optimizer) -> Any:
    name, args = parse_spec(value, where=when)
    spec = ClassSpec.model_construct(name=name, args=freeze(args))
    mode = {"mode": "max"} if when == BY_PLATEAU else {}
    return build("scheduler", spec, optimizer=optimizer, **mode)


def _same(first: list[nn.Parameter], second: list[nn.Parameter]) -> bool:
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


def _missing(name: str, config: ExperimentConfig) -> UserError:
    what = f"{name} has parameters to train, but there is no {name}_optimizer."
    if name in config.loss_funcs:
        what += " Name one with --config_optimizers [default, with_metric_loss_optimizer], or under optimizers."
    return UserError(what, where="optimizers", near=nearest(f"{name}_optimizer", config.optimizers))


def _check_names(config: ExperimentConfig, parameters: Parameters) -> None:
    """An optimiser of a module without parameters is idle (a frozen trunk's, say); of no module, it is a mistake."""
    models = [*type(config.models).model_fields, *(config.models.__pydantic_extra__ or {})]
    modules = {*models, *config.loss_funcs, *config.mining_funcs, *parameters, "metric_loss"}
    valid = sorted(f"{name}_optimizer" for name in modules)
    for name in config.optimizers:
        if name not in valid:
            raise UserError(f"{name} belongs to no module.", where="optimizers", near=nearest(name, valid))
