"""Where config files lie: the packaged folder or the user's, by category and name."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from powerbench.config.categories import CATEGORIES
from powerbench.errors import UserError, nearest

SUITES = "suites"


def packaged_folder() -> Path:
    """The folder of the configs that come with the program."""
    return Path(str(files("experiment_configs")))


def config_names(folder: Path | None = None) -> dict[str, list[str]]:
    """Category -> the names that its list may hold."""
    return {category: _stems(folder, category) for category in CATEGORIES}


def config_path(category: str, name: str, folder: Path | None = None) -> Path:
    """The file of a config by category and name. Raises UserError with the nearest names if there is none."""
    return _named(category, name, folder, f"--{category}")


def suite_names(folder: Path | None = None) -> list[str]:
    """The names of the suites in ``folder``, or else of the packaged ones."""
    return _stems(folder if _has_suites(folder) else None, SUITES)


def suite_path(text: str, folder: Path | None = None) -> Path:
    """The file of a suite given by name, or by path (ending in ``.yaml``). Raises UserError if there is none."""
    if not is_path(text):
        return _named(SUITES, text, folder if _has_suites(folder) else None, f"suite {text}")
    path = Path(text).expanduser()
    if not path.is_file():
        raise UserError(
            f"there is no file {path}.", where=f"suite {text}", near=nearest(path.stem, suite_names(folder))
        )
    return path


def is_path(name: str) -> bool:
    """Whether a name in a list is the path of a YAML file."""
    return name.endswith((".yaml", ".yml"))


def _has_suites(folder: Path | None) -> bool:
    return folder is not None and (folder / SUITES).is_dir()


def _stems(folder: Path | None, inside: str) -> list[str]:
    return sorted(path.stem for path in ((folder or packaged_folder()) / inside).glob("*.yaml"))


def _named(inside: str, name: str, folder: Path | None, where: str) -> Path:
    parent = (folder or packaged_folder()) / inside
    path = parent / f"{name}.yaml"
    if "/" in name or not path.is_file():
        valid = _stems(folder, inside)
        raise UserError(
            f"there is no {name!r} in {parent} (there: {', '.join(valid) or 'nothing'}).",
            where=where,
            near=nearest(name, valid),
        )
    return path
