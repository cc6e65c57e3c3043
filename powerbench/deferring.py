"""Imports that a library makes for something it hardly ever does, put off until it does it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a module; whoever asks for an attribute gets the module's own.

    Whoever looks through all modules (``inspect`` does, for their files) finds one without a file.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def put_off(name: str) -> Iterator[None]:
    """While this lasts, ``import name`` imports nothing yet, unless the module is there already.

    ``name`` is a module of a package that imports it itself when it is asked for (``scipy.stats``): code that says
    ``scipy.stats.f`` later gets the module, as does every import after the block.
    """
    if name in sys.modules:
        yield
        return
    later = sys.modules[name] = _Later(name)
    try:
        yield
    finally:
        if sys.modules.get(name) is later:
            del sys.modules[name]
