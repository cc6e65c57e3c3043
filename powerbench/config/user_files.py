"""Files of the user's own that a config names: ``path/to/my_loss.py:MyLoss``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

_CLASS_IN_FILE = re.compile(r"(?P<path>.+\.py):(?P<name>\w+)")
_HASHED = re.compile(r".+_[0-9a-f]{12}")


def rename_files(value: Any, rename: Callable[[str], str]) -> Any:
    """A config with each file's path replaced."""
    if isinstance(value, Mapping):
        return {rename_files(key, rename): rename_files(item, rename) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rename_files(item, rename) for item in value]
    match = _CLASS_IN_FILE.fullmatch(value) if isinstance(value, str) else None
    return f"{rename(match['path'])}:{match['name']}" if match else value


def wherever_they_lie(config: Any) -> Any:
    """A config that does not change when an experiment's folder moves: hashed files are named without their folder."""

    def without_folder(path_text: str) -> str:
        path = PurePath(path_text)
        return path.name if _HASHED.fullmatch(path.stem) else path_text

    return rename_files(config, without_folder)
