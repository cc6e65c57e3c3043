"""Powerbench: fair, resumable, cross-validated comparison of deep-metric-learning methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from powerbench.driver.loading import load_model

__all__ = ["load_model"]


def __getattr__(name: str) -> Any:
    """``load_model`` where it is first used: it needs torch."""
    if name != "load_model":
        raise AttributeError(f"module 'powerbench' has no attribute {name!r}")
    from powerbench.driver.loading import load_model

    return load_model
