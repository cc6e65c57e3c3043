"""Where data, experiments, weights and caches lie: flag, environment variable, user file, or default.

The user file is ``powerbench.yaml`` in the user's configuration folder (``~/.config`` unless
``XDG_CONFIG_HOME`` says otherwise), for example ``dataset_root: /data/metric_learning``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerbench.errors import UserError, nearest
from powerbench.jobs import Places

NAMES = ("root_experiment_folder", "dataset_root", "cache_dir", "pytorch_home", "results_db", "root_config_folder")
_DEFAULTS: dict[str, str | None] = {"root_experiment_folder": "experiments", "dataset_root": "datasets"}
_VARIABLES = {name: f"POWERBENCH_{name.upper()}" for name in NAMES} | {"pytorch_home": "TORCH_HOME"}


@dataclass(frozen=True)
class Root:
    """A location and what it was set by."""

    value: str | None
    source: str


@dataclass(frozen=True)
class Roots:
    """All locations by name."""

    by_name: Mapping[str, Root]

    def path(self, name: str) -> Path:
        """A location as an absolute path."""
        return Path(self.by_name[name].value or ".").expanduser().resolve()

    def text(self, name: str) -> str | None:
        """A location as it was given."""
        return self.by_name[name].value

    @property
    def experiments(self) -> Path:
        """The folder that holds the experiments."""
        return self.path("root_experiment_folder")

    @property
    def cache(self) -> Path:
        """The folder of decoded data and features; beside the experiments unless set."""
        return self.path("cache_dir") if self.text("cache_dir") else self.experiments / ".cache"

    @property
    def store_url(self) -> str:
        """The results store: a database URL or a file."""
        return self.text("results_db") or str(self.experiments / "results.sqlite")

    @property
    def config_folder(self) -> Path | None:
        """The YAML files to use instead of the shipped ones, if any."""
        return self.path("root_config_folder") if self.text("root_config_folder") else None

    @property
    def given(self) -> list[str]:
        """The locations that flags gave, as words of a command line; without that of the experiments."""
        flags = [name for name, root in self.by_name.items() if root.source == f"--{name}"]
        return [word for name in flags if name != NAMES[0] for word in (f"--{name}", self.text(name) or "")]

    @property
    def places(self) -> Places:
        """What jobs need to know."""
        home = self.text("pytorch_home")
        return Places(str(self.path("dataset_root")), str(self.cache), str(self.path("pytorch_home")) if home else None)


def find_roots(flags: Mapping[str, Any]) -> Roots:
    """Each location from the flags, else from the environment, else from the user file, else its default."""
    user_file = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "powerbench.yaml"
    from_file = _read_user_file(user_file)
    roots = {}
    for name in NAMES:
        if flags.get(name) is not None:
            roots[name] = Root(str(flags[name]), f"--{name}")
        elif os.environ.get(_VARIABLES[name]):
            roots[name] = Root(os.environ[_VARIABLES[name]], f"environment variable {_VARIABLES[name]}")
        elif name in from_file:
            roots[name] = Root(str(from_file[name]), str(user_file))
        else:
            roots[name] = Root(_DEFAULTS.get(name), "default")
    return Roots(roots)


def _read_user_file(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    from powerbench.config.yaml_text import read_yaml

    content = read_yaml(path)
    for key in content:
        if key not in NAMES:
            raise UserError(
                f"{key} is not a location one can set here (those are {', '.join(NAMES)}).",
                where=str(path),
                near=nearest(key, NAMES),
            )
    return content
