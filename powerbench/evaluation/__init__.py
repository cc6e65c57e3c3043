"""Embedding, measuring and joining of trained models; only this package opens a test set."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from powerbench.evaluation.ensembles import evaluate_models
    from powerbench.evaluation.measuring import measure

_HOMES = {
    "evaluate_models": "powerbench.evaluation.ensembles",
    "measure": "powerbench.evaluation.measuring",
}

__all__ = ["evaluate_models", "measure"]


def __getattr__(name: str) -> Any:
    """Import a function of the package when it is first asked for, so that the metrics' names stay cheap."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
