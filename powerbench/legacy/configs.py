"""The folder ``configs`` that powerful-benchmarker 0.9.x wrote, as a config of today."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from powerbench.config.categories import CATEGORIES
from powerbench.config.merged import MergedConfig, load_config
from powerbench.config.search_keys import fill, search_keys
from powerbench.config.yaml_text import read_yaml
from powerbench.errors import UserError
from powerbench.legacy.keys import OldKey, translate

_FOLDERNAMES = "config_foldernames"
_BATCH_256 = "with_256_batch"
_DIFFS = re.compile(r"resume_training_config_diffs_(\d+(?:_\d+)*)")
_CHOSEN = {"best_parameters.yaml": "best_parameters", "bayes_opt_parameters.yaml": "parameters"}
"""Files beside ``configs`` that hold searched parameters' values, and the key that they may stand under."""


def load_old_config(
    folder: Path,
    names: Mapping[str, Sequence[str]],
    config_folder: Path | None,
    replaced: frozenset[str] = frozenset(),
) -> MergedConfig:
    """Today's config for the experiment in ``folder`` (which holds ``configs``); its notes say what was changed.

    Later ``resume_training_config_diffs_*`` are laid over the first config. What the folder does not say comes from the
    lists ``names`` (or the defaults), for whole categories with a note; a list for a category that it has is not read.
    ``replaced``: top-level keys that the command line gives anew. Raises :class:`UserError`, with file and key, for
    what cannot be read or has no equivalent.
    """
    configs = folder / "configs"
    old = _read(sorted(configs.glob("*.yaml")), {})
    if not old:
        raise UserError("holds no config (no config_*.yaml).", where=str(configs))
    names = _where_they_are_now(names)
    present = [category for category in CATEGORIES if (configs / f"{category}.yaml").is_file()]
    notes = [f"{configs} has its own {name}.yaml; --{name} is not read." for name in names if name in present]
    notes += [
        f"{configs} has no {category}.yaml; took {', '.join(names.get(category, ('default',)))} instead."
        for category, keys in CATEGORIES.items()
        if keys and category not in present
    ]
    for diffs in config_diffs(configs):
        later = _read(sorted(diffs.glob("*.yaml")), {})
        notes.append(_about_diffs(diffs, later))
        old.update(later)
    translation = translate(_filled(old, folder, replaced), replaced)
    lists = {category: listed for category, listed in names.items() if category not in present}
    merged = load_config(lists, {}, folder=config_folder)
    for change in translation.changes:
        merged = merged.with_overrides({change.key: change.value}, change.source)
    return MergedConfig(merged.categories, merged.origins, (*merged.notes, *notes, *translation.notes))


def _where_they_are_now(names: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """The lists of the command line; batches of 256 were a config of models once."""
    moved = [name for name in names.get("config_models", ()) if name == _BATCH_256]
    if not moved:
        return names
    models = [name for name in names["config_models"] if name != _BATCH_256]
    return {**names, "config_models": models, "config_general": [*names.get("config_general", ("default",)), *moved]}


def given_by(merged: MergedConfig, folder: Path) -> frozenset[str]:
    """The top-level keys of which a config of :func:`load_old_config` has at least a part from the folder's files."""
    own = str(folder / "configs")
    return frozenset(path[0] for path, source in merged.origins.items() if source.startswith(own))


def config_diffs(configs: Path) -> list[Path]:
    """The folders of settings that were changed when a training was resumed, the earliest first."""
    found = {path: _DIFFS.fullmatch(path.name) for path in configs.glob("resume_training_config_diffs_*")}
    epochs = {path: [int(epoch) for epoch in match[1].split("_")] for path, match in found.items() if match}
    return sorted(epochs, key=lambda path: epochs[path])


def _about_diffs(diffs: Path, later: Mapping[str, OldKey]) -> str:
    match = _DIFFS.fullmatch(diffs.name)
    assert match is not None
    return (
        f"{diffs}: {', '.join(later) or 'nothing'} was changed after epoch {match[1].replace('_', ', ')} (of each "
        "fold; of a search: trial); here a training has the last settings from its first epoch on."
    )


def _read(files: Sequence[Path], into: dict[str, OldKey]) -> dict[str, OldKey]:
    """The top-level keys of several files; of a key that stands in two of them the later file's."""
    for path in files:
        if path.stem != _FOLDERNAMES:
            into.update({key: OldKey(value, str(path)) for key, value in read_yaml(path).items()})
    return into


def _filled(old: Mapping[str, OldKey], folder: Path, replaced: frozenset[str]) -> dict[str, OldKey]:
    """The keys with a search's chosen values in place of its ranges; keys that are replaced anyway stay."""
    plain = {raw: key.value for raw, key in old.items()}
    origins: dict[tuple[str, ...], str] = {(raw.partition("~")[0],): key.file for raw, key in old.items()}
    merged = MergedConfig({"config_general": plain}, origins)
    searched = search_keys(merged)
    if not searched or {key.keys[0] for key in searched} <= replaced:
        return dict(old)
    values, source = _chosen_parameters(folder)
    missing = [key.path for key in searched if key.path not in values]
    if missing:
        raise UserError(
            f"its config searches {', '.join(missing)}, but {source} does not say which values were best. Let the "
            "search end first, or name the folder of one of its trials.",
            where=str(folder),
        )
    filled = fill(merged, {key.path: values[key.path] for key in searched})
    by_name = {raw.partition("~")[0]: key for raw, key in old.items()}
    return {name: OldKey(value, by_name[name].file) for name, value in filled.items()}


def _chosen_parameters(folder: Path) -> tuple[Mapping[str, Any], str]:
    """The values by slash path, and the file they are from."""
    for name, below in _CHOSEN.items():
        if (folder / name).is_file():
            content = read_yaml(folder / name)
            values = content.get(below, content)
            if not isinstance(values, Mapping):
                raise UserError("expected {path: value}.", where=f"{folder / name}, {below}")
            return values, name
    return {}, " or ".join(_CHOSEN)
