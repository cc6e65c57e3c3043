"""Where an experiment keeps its files."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from powerbench.errors import UserError
from powerbench.legacy.folder import holds_old_experiment

BESIDE_OTHERS = "powerbench"
"""Our own folder inside one that an earlier program wrote."""

RESERVED_NAMES = ("meta_logs",)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def check_name(name: object) -> str:
    """The name of an experiment or suite, if it can be the name of a folder on every system."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in RESERVED_NAMES or len(name) > 120:
        raise UserError(
            f"{name!r} cannot name an experiment: use letters, digits and . _ + - (not a path; the folder that "
            "holds the experiments is --root_experiment_folder)."
        )
    return name


@dataclass(frozen=True)
class ExperimentFolder:
    """The folder of one experiment; nothing is created until something is written."""

    path: Path

    @classmethod
    def of(cls, name: str, experiments: Path) -> Self:
        """The folder of the experiment of that name: below ``experiments``, or (where an earlier program has trained
        one in a folder of that name) inside of that folder, whose own files are never touched."""
        path = experiments / name
        return cls(path / BESIDE_OTHERS if holds_old_experiment(path) else path)

    @property
    def configs(self) -> Path:
        """The merged config, one YAML a category."""
        return self.path / "configs"

    @property
    def user_code(self) -> Path:
        """Copies of the user's own files that the config names."""
        return self.configs / "user_code"

    @property
    def best_parameters(self) -> Path:
        """The chosen setting, loadable as a config."""
        return self.path / "best_parameters.yaml"

    @property
    def chosen_setting(self) -> Path:
        """The same beside the merged config."""
        return self.configs / self.best_parameters.name

    @property
    def record(self) -> Path:
        """Every row of the experiment, so that the folder can be used without the store."""
        return self.path / "record.json"

    @property
    def log(self) -> Path:
        """What happened, one JSON object a line (see :mod:`powerbench.driver.log`)."""
        return self.path / "log.jsonl"

    def trial(self, kind: str, number: int) -> Path:
        """The folder of a trial."""
        return self.path / ("single" if kind == "single" else f"{kind}_{number}")

    def fold_run(self, kind: str, number: int, fold_name: str) -> Path:
        """The folder of one fold run: its checkpoint while it runs, its best weights when they are kept."""
        return self.trial(kind, number) / fold_name

    def drop_weights(self, kind: str, number: int) -> None:
        """Delete a trial's weights; its results are in the store."""
        folder = self.trial(kind, number)
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
