"""Losses and miners as yaml files of powerful-benchmarker 0.9.x write them, for today's pytorch-metric-learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from powerbench.errors import UserError

_MINERS = {"post_gradient_miner": "tuple_miner", "pre_gradient_miner": "subset_batch_miner"}


def modern_losses(losses: Any, file: str, notes: list[str]) -> Any:
    """``loss_funcs`` without the settings that losses no longer have; ``notes`` receives what that means.

    ``avg_non_zero_only`` goes, as losses average the terms above zero by themselves; ``use_similarity`` goes where it
    is false, and is cosine similarity as ``distance`` where it is true; ``regularizer`` is ``weight_regularizer``.
    """
    if not isinstance(losses, Mapping):
        return losses
    return {name: _with_modern_arguments(spec, f"{file}, loss_funcs/{name}", notes) for name, spec in losses.items()}


def modern_miners(miners: Any) -> Any:
    """``mining_funcs`` under today's names."""
    return {_MINERS.get(name, name): spec for name, spec in miners.items()} if isinstance(miners, Mapping) else miners


def _with_modern_arguments(spec: Any, where: str, notes: list[str]) -> Any:
    if not isinstance(spec, Mapping):
        return spec
    modern = {}
    for name, arguments in spec.items():
        if isinstance(arguments, Mapping):
            arguments = _arguments(str(name), dict(arguments), f"{where}/{name}", notes)
        modern[name] = arguments
    return modern


def _arguments(loss: str, given: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    if given.pop("avg_non_zero_only", True) is False:
        notes.append(f"{where}: avg_non_zero_only: False is gone; {loss} averages its terms above zero now.")
    if given.pop("use_similarity", False):
        if "distance" in given:
            raise UserError("use_similarity and distance exclude each other.", where=f"{where}/use_similarity")
        given["distance"] = {"CosineSimilarity": {}}
    if "regularizer" in given:
        given["weight_regularizer"] = given.pop("regularizer")
        if "reg_weight" in given and loss != "SoftTripleLoss":
            given["weight_reg_weight"] = given.pop("reg_weight")
    nested = given.get("loss")
    if isinstance(nested, Mapping):
        given["loss"] = _with_modern_arguments(nested, f"{where}/loss", notes)
    return given
