"""Training of one fold run: the loop, its optimisers, its checkpoints."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from powerbench.training.loop import train_fold

__all__ = ["train_fold"]


def __getattr__(name: str) -> Any:
    """Import the loop, and torch with it, when it is first asked for."""
    if name == "train_fold":
        return import_module("powerbench.training.loop").train_fold
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
