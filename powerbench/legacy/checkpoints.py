"""The models that powerful-benchmarker saved: ``<fold>/saved_models/<name>_best<epoch>.pth``, plain state dicts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from powerbench.errors import UserError
from powerbench.models.weights import load_state, read_state

_SPECIAL: dict[str, tuple[str, ...]] = {"PredefinedSplitScheme_0": ("predefined",)}
"""Other names that the folder of a fold had."""

_BEST = re.compile(r"(?P<module>\w+)_best(?P<epoch>\d{0,9})")
"""A longer number is no epoch: none was ever reached, and the store could not hold it."""

_WRAPPERS = ("module.", "convnet.")
"""What names begin with inside of DataParallel, and of a trunk whose layers were extracted (CascadedEmbeddings)."""

_LAST = "last_linear"
_ALIAS = re.compile(rf"(.*\.|){_LAST}\.(\w+)")
_UNUSED = "AuxLogits."
"""Inception-v3's second classifier: it was saved, but images were not passed through it."""


@dataclass(frozen=True)
class SavedModels:
    """The best models of a fold by name, and their epoch (``None`` where file names did not tell it yet)."""

    files: dict[str, Path]
    epoch: int | None


def fold_folder(folder: Path, fold_name: str) -> Path:
    """The folder of a fold. Raises :class:`UserError`, naming those that there are, if it has none."""
    for name in (fold_name, *_SPECIAL.get(fold_name, ())):
        if (folder / name).is_dir():
            return folder / name
    there = sorted(path.parent.name for path in folder.glob("*/saved_models"))
    raise UserError(
        f"there are no models of {fold_name}, the fold that the config's split_manager makes; there are those of "
        f"{', '.join(there) or 'no fold'}. Another split is given by --split_manager~OVERRIDE~ {{...}}.",
        where=str(folder),
    )


def best_models(folder: Path, fold_name: str, modules: Sequence[str]) -> SavedModels:
    """The files of a fold's best models. Raises :class:`UserError` if one of ``modules`` was not saved."""
    models = fold_folder(folder, fold_name) / "saved_models"
    found: dict[int | None, dict[str, Path]] = {}
    for path in models.glob("*_best*.pth"):
        if match := _BEST.fullmatch(path.stem):
            found.setdefault(int(match["epoch"]) if match["epoch"] else None, {})[match["module"]] = path
    if not found:
        raise UserError(
            "holds no best models (trunk_best<epoch>.pth): powerful-benchmarker 0.9.32 saved none where training never "
            "beat the untrained model.",
            where=str(models),
        )
    epoch = max(found, key=lambda epoch: -1 if epoch is None else epoch)
    missing = [f"{module}_best{'' if epoch is None else epoch}.pth" for module in modules if module not in found[epoch]]
    if missing:
        raise UserError(f"{' and '.join(missing)} is missing.", where=str(models))
    return SavedModels({module: found[epoch][module] for module in modules}, epoch)


def load_old_weights(module: nn.Module, path: Path) -> dict[str, Tensor]:
    """Load a saved model's weights into one of ours; the state dict that ours has then.

    Accepted are both published formats of BN-Inception (batch norm tensors of size C and 1 x C, with or without
    ``num_batches_tracked``), names with the prefixes of modules around, an embedder's (or each of several embedders')
    second name for its last layer, and the second classifier of Inception-v3.
    Raises :class:`UserError`, naming the file, if it holds anything but tensors, or those of another network.
    """
    state, own = _without_prefix(read_state(path)), module.state_dict()
    known = {name: tensor for name, tensor in state.items() if not name.startswith(_UNUSED)}
    fitting = {name: tensor for name, tensor in known.items() if name in own or not _is_alias(name, known)}
    load_state(module, fitting, source=path, optional=_LAST)
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _WRAPPERS:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _is_alias(name: str, state: dict[str, Tensor]) -> bool:
    """Whether a tensor of a ``last_linear`` is there under another name beside it, too."""
    match = _ALIAS.fullmatch(name)
    return match is not None and any(
        other != name
        and other.startswith(match[1])
        and other.rpartition(".")[2] == match[2]
        and torch.equal(tensor, state[name])
        for other, tensor in state.items()
    )
