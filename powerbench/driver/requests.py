"""What a command asks for, laid over what the experiment already is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from powerbench.config.free import is_free
from powerbench.config.keys import parse_key
from powerbench.config.merged import MergedConfig, load_config
from powerbench.driver.user_code import adopt
from powerbench.errors import UserError
from powerbench.plan import Budget
from powerbench.store.rows import ExperimentRow

METHOD_KEYS = frozenset(
    {"trainer", "loss_funcs", "mining_funcs", "sampler", "models", "layers_to_extract", "optimizers", "transforms"}
)
"""Top-level keys under which a method's own settings stand (some of the protocol's stand there, too)."""


@dataclass(frozen=True)
class Request:
    """One experiment as a command (or a suite) asks for it.

    ``config_names`` and ``overrides`` are what was given, empty if nothing was. ``layers`` are overrides from
    files, each with its file, applied before ``overrides``: a request that has any (a suite's) gives the whole config.
    ``merge`` allows a resumed experiment's config to change.
    """

    name: str
    budget: Budget = field(default_factory=Budget)
    config_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    merge: bool = False
    layers: Sequence[tuple[str, Mapping[str, Any]]] = ()

    @property
    def overridden(self) -> frozenset[str]:
        """The top-level keys that ``overrides`` give anew (APPLY and WRAP leave what stands there)."""
        keys = [parse_key(raw, "--") for raw in self.overrides]
        return frozenset(key.name for key in keys if key.operator not in ("APPLY", "WRAP"))


def requested_config(
    request: Request, known: ExperimentRow | None, config_folder: Path | None, user_code: Path | None = None
) -> tuple[MergedConfig, Budget]:
    """The config and the budget to run with.

    A new experiment takes its files and overrides. A known one keeps its stored config: if the request
    would change a key that can change a result, a :class:`UserError` lists the keys, unless ``merge`` is set.
    ``user_code`` is the experiment's folder of copied files, whose content counts as config.
    """
    if known is None:
        return _fresh(request, config_folder), request.budget
    stored = MergedConfig.from_plain(known.config)
    asked = _asked(request, stored, config_folder)
    named_by_hash, _ = adopt(asked.categories, user_code)
    changed = result_changes(stored.categories, named_by_hash)
    if changed and not request.merge:
        raise UserError(
            f"{known.name} exists with other settings; the command changes {', '.join(changed)}. Give the same "
            "settings to continue it, another --experiment_name to start anew, or "
            "--merge_argparse_when_resuming to continue it with the changed ones."
        )
    return asked, Budget.from_plain(known.budget).at_least(request.budget)


def _fresh(request: Request, config_folder: Path | None) -> MergedConfig:
    merged = load_config(request.config_names, {}, folder=config_folder)
    for file, overrides in request.layers:
        merged = merged.with_overrides(overrides, file)
    return merged.with_overrides(request.overrides)


def changed_paths(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Slash paths (below the category) at which two sets of categories differ."""
    paths: list[str] = []
    for category in {**old, **new}:
        _collect_changes(old.get(category) or {}, new.get(category) or {}, "", paths)
    return paths


def result_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Those of :func:`changed_paths` at which a change can change a result."""
    return [path for path in changed_paths(old, new) if not is_free(path)]


def method_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Those of :func:`result_changes` that may concern the method; changed bounds of a search do not."""
    paths = [path for path in result_changes(old, new) if path.split("/")[0] in METHOD_KEYS]
    return [path for path in paths if not parse_key(path.rpartition("/")[2], path).searched]


def _asked(request: Request, stored: MergedConfig, config_folder: Path | None) -> MergedConfig:
    """The stored config, with the named categories loaded anew and the overrides applied."""
    if not request.config_names and not request.layers:
        return stored.with_overrides(request.overrides)
    fresh = _fresh(request, config_folder)
    if not request.merge or request.layers:
        return fresh
    kept = stored.with_overrides(request.overrides)
    named = {category: fresh.categories[category] for category in request.config_names}
    return kept.with_categories({**kept.categories, **named})


def _collect_changes(old: Any, new: Any, path: str, paths: list[str]) -> None:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old and new:
        for key in {**old, **new}:
            below = f"{path}/{key}" if path else str(key)
            if key in old and key in new:
                _collect_changes(old[key], new[key], below, paths)
            else:
                paths.append(below)
    elif old != new and not (_says_nothing(old) and _says_nothing(new)):
        paths += _free_settings(old, new, path) or [path]


def _free_settings(old: Any, new: Any, path: str) -> list[str]:
    """The settings of one side where the other has none and all of them are free: ``{CUB200: {download: True}}``."""
    given = new if _says_nothing(old) else old if _says_nothing(new) else None
    below = [f"{path}/{key}" for key in given] if isinstance(given, Mapping) else []
    return below if all(map(is_free, below)) else []


def _says_nothing(value: Any) -> bool:
    """Null and an empty mapping are two spellings of the same; 0 and False are values."""
    return value is None or value in ({}, [], ())
