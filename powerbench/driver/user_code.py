"""A user's own files that a config names (``path/to/my_loss.py:MyLoss``): hashed, copied, found again.

In a saved config such a class is written ``my_loss_<first 12 digits of its SHA-256>.py:MyLoss``: the file
of that name lies in the experiment's ``configs/user_code``. So the config's own text says which code ran, a
changed file is a changed config, and every worker reads the copy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from powerbench.errors import UserError
from powerbench.files import sha256_of, write_atomic

_CLASS_IN_FILE = re.compile(r"(?P<path>.+\.py):(?P<name>\w+)")


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

    return _rename(config, hashed), files


def located(config: Any, folder: Path, files: Mapping[str, Path] | None = None) -> Any:
    """The opposite: hashed names become absolute paths, in ``files`` (not copied yet) or else in ``folder``."""
    return _rename(config, lambda name: str((files or {}).get(name, folder / name)))


def copy_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copy adopted files into an experiment's ``user_code``."""
    for name, path in files.items():
        write_atomic(folder / name, path.read_bytes())


def _rename(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {_rename(key, rename): _rename(item, rename) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rename(item, rename) for item in value]
    match = _CLASS_IN_FILE.fullmatch(value) if isinstance(value, str) else None
    return f"{rename(match['path'])}:{match['name']}" if match else value
