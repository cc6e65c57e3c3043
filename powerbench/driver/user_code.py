"""A user's own files that a config names (``path/to/my_loss.py:MyLoss``): hashed, copied, found again.

In a saved config such a class is written ``my_loss_<first 12 digits of its SHA-256>.py:MyLoss``: the file
of that name lies in the experiment's ``configs/user_code``. So the config's own text says which code ran, a
changed file is a changed config, and every worker reads the copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from powerbench.config.user_files import rename_files
from powerbench.errors import UserError
from powerbench.files import sha256_of, write_atomic


def adopt(config: Any, folder: Path | None) -> tuple[Any, dict[str, Path]]:
    """Replace each file in ``config`` by its hashed name; return the config and {hashed name: file}.

    A name without a folder that lies in ``folder`` (an experiment's ``user_code``) is adopted already.
    """
    files: dict[str, Path] = {}

    def hashed(path_text: str) -> str:
        if folder is not None and "/" not in path_text and (folder / path_text).is_file():
            return path_text
        path = Path(path_text).expanduser().resolve()
        if not path.is_file():
            raise UserError(f"there is no file {path}, which the config names as {path_text}.")
        digest = sha256_of(path)[:12]
        name = path.name if path.stem.endswith(f"_{digest}") else f"{path.stem}_{digest}.py"
        files[name] = path
        return name

    return rename_files(config, hashed), files


def located(config: Any, folder: Path, files: Mapping[str, Path] | None = None) -> Any:
    """The opposite: hashed names become absolute paths, in ``files`` (not copied yet) or else in ``folder``."""
    return rename_files(config, lambda name: str((files or {}).get(name, folder / name)))


def located_unchanged(config: Any, folder: Path) -> Any:
    """:func:`located` in a folder that may come from anyone. Raises UserError if a file there was changed."""
    placed = located(config, folder)
    if adopt(placed, None)[0] != config:
        raise UserError("a file there is not the one that was used: its content was changed.", where=str(folder))
    return placed


def copy_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copy adopted files into an experiment's ``user_code``."""
    for name, path in files.items():
        write_atomic(folder / name, path.read_bytes())
