"""Imports that a library makes for something it hardly ever does, put off until it does it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a module; whoever asks for an attribute that was not given to it gets the module's own.

    Whoever looks through all modules (``inspect`` does, for their files) finds one without a file.
    """

    is_package = True
    """Only packages are asked for their place when they are imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and not (name == "__path__" and self.is_package):
            raise AttributeError(name)
        return getattr(_imported(self.__name__), name)


def _imported(name: str) -> ModuleType:
    """The module itself, and from here on its package and what is in it."""
    package = name.rpartition(".")[0]
    for other in [n for n, module in sys.modules.items() if isinstance(module, _Later)]:
        if other == package or f"{other}.".startswith((f"{package}.", f"{name}.")):
            del sys.modules[other]
    return importlib.import_module(name)


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


def put_off_compiler() -> None:
    """From here on in this process, torch's compiler is imported when something is to be compiled.

    torch's optimisers and torchvision import it (a third of the time until a training's first step) for marks that
    say something to the compiler alone: to leave a function out, or to stop here.
    """
    compiler, utilities = "torch._dynamo", "torch._dynamo.utils"
    if compiler in sys.modules:
        return
    marks = {"disable": _left_as_it_is, "graph_break": lambda *args, **named: None}
    asked = {"is_compile_supported": lambda *args: _imported(utilities).is_compile_supported(*args)}
    for name, given in ((compiler, marks), (utilities, {**asked, "is_package": False})):
        sys.modules[name] = _Later(name)
        vars(sys.modules[name]).update(given)


def _left_as_it_is(function: Callable[..., Any] | None = None, *args: Any, **named: Any) -> Any:
    return function if function is not None else lambda inner: inner
