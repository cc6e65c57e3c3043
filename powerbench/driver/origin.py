"""The folder that is to be reproduced: one of our experiments, perhaps copied here without its results store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_logs.logged import Logged
from meta_logs.reproduced import earlier_results
from meta_logs.results import ExperimentResults
from powerbench.config.keys import parse_key
from powerbench.config.merged import MergedConfig, load_config
from powerbench.config.search_keys import fill, search_keys
from powerbench.config.yaml_text import read_yaml
from powerbench.driver.folder import ExperimentFolder
from powerbench.driver.requests import result_changes
from powerbench.driver.user_code import located_unchanged
from powerbench.errors import UserError
from powerbench.legacy.configs import given_by, load_old_config
from powerbench.legacy.folder import has_old_configs
from powerbench.legacy.logged import read_logged
from powerbench.plan import Budget
from powerbench.store.evaluations import sample_of

_OF_SEARCHES = ("first_trials",)
"""Keys without a meaning where nothing is searched."""


@dataclass(frozen=True)
class Origin:
    """An earlier experiment as its folder tells it.

    ``merged`` is its config with the chosen setting filled in, the user's own files by their place in the folder.
    ``results`` is ``None`` if the folder holds no record. ``given``: the top-level keys that a folder of an earlier
    program gives (one of ours gives them all: ``None``). ``logged``: that program's results.
    """

    folder: ExperimentFolder
    merged: MergedConfig
    results: ExperimentResults | None
    given: frozenset[str] | None = None
    logged: Logged | None = None

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.results.experiment.name if self.results else self.folder.path.name

    @property
    def record(self) -> Path | None:
        """Its record, if it has one."""
        return self.folder.record if self.results else None

    @property
    def reproductions(self) -> tuple[int, ...]:
        """The numbers of its reproductions that count."""
        if self.logged is not None:
            return tuple(range(self.logged.trainings))
        trials = sample_of(list(self.results.trials))[1] if self.results else []
        return tuple(trial.number for trial in trials if trial.kind == "reproduction")

    @property
    def budget(self) -> Budget:
        """What it takes to train again whatever of it counts: the chosen trial and the reproductions."""
        best = self.results.best if self.results else None
        single = self.results is not None and any(trial.kind == "single" for trial in self.results.trials)
        alone = best is None and not single and not self.reproductions
        return Budget(0, (0,) if alone else self.reproductions, best.number if best else None)

    def changes(self, categories: Mapping[str, Any]) -> list[str]:
        """Where a config (user's files by hash) differs from what was trained, as far as is known; not in its seed.

        Known is what the record says, or what an earlier program's folder gives.
        """
        if self.given is not None:
            paths = result_changes(self.merged.categories, categories)
            return [path for path in paths if path.split("/")[0] in self.given]
        if self.results is None:
            return []
        merged = MergedConfig.from_plain(self.results.experiment.config)
        trained = _filled(merged, self.results.best.parameters if self.results.best else {}, self.folder.path)
        return [path for path in result_changes(trained.categories, categories) if path != "seed"]


def read_origin(
    path: Path,
    names: Mapping[str, Sequence[str]],
    config_folder: Path | None,
    overridden: frozenset[str] = frozenset(),
) -> Origin:
    """Read an experiment's folder; ``names`` are configs to take for categories that it has no file for.

    ``overridden``: top-level keys that the command line gives anew. Raises :class:`UserError` if it is no such folder,
    if the chosen setting of its search is unknown, or if a user's file in it is not the one that was used.
    """
    folder = ExperimentFolder(path.expanduser().resolve())
    if not folder.configs.is_dir():
        raise UserError(
            f"{path} is not the folder of an experiment: it has no folder configs.", where="--reproduce_results"
        )
    if has_old_configs(folder.path):
        old = load_old_config(folder.path, names, config_folder, overridden)
        return Origin(folder, old, None, given_by(old, folder.path), read_logged(folder.path))
    present = [f"--{category}" for category in names if (folder.configs / f"{category}.yaml").is_file()]
    if present:
        raise UserError(
            f"{path} has a config of its own for {', '.join(present)}; leave the flag out, and change single keys with "
            "--<key> VALUE --merge_argparse_when_resuming."
        )
    merged = load_config(names, {}, folder=config_folder, saved=folder.configs)
    results = earlier_results(folder.record)
    merged = _with_chosen_setting(merged, folder, results)
    placed: dict[str, Any] = located_unchanged(merged.plain(), folder.user_code)
    return Origin(folder, merged.with_categories(placed), results)


def _with_chosen_setting(
    merged: MergedConfig, folder: ExperimentFolder, results: ExperimentResults | None
) -> MergedConfig:
    """The config with the best trial's values, from the record or else from ``configs/best_parameters.yaml``."""
    if results is None and folder.chosen_setting.is_file():
        merged = merged.with_overrides(read_yaml(folder.chosen_setting), str(folder.chosen_setting))
    best = results.best if results else None
    return _filled(merged, best.parameters if best else {}, folder.path)


def _filled(merged: MergedConfig, parameters: Mapping[str, Any], path: Path) -> MergedConfig:
    """The config without a search."""
    searched = [key.path for key in search_keys(merged)]
    if set(searched) != set(parameters):
        raise UserError(
            f"its config searches {', '.join(searched) or 'nothing'}, but neither a finished trial in record.json nor "
            "configs/best_parameters.yaml says which values were best. Let the search end first.",
            where=str(path),
        )
    flat = fill(merged, parameters)
    names = {category: [parse_key(raw, category).name for raw in keys] for category, keys in merged.categories.items()}
    filled = {
        category: {name: flat[name] for name in keys if name not in _OF_SEARCHES} for category, keys in names.items()
    }
    return merged.with_categories(filled)
