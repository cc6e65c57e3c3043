"""Settings that change no result: they choose what is shown or kept, or where and how fast the work is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FREE_KEYS = frozenset(
    {
        "splits_to_eval",
        "skip_eval_if_already_done",
        "skip_ensemble_eval_if_already_done",
        "checkpoint_seconds",
        "augment_on",
        "cache",
        "cache_gigabytes",
        "keep_weights",
        "confidence",
        "include_best",
        "device",
        "ranking_backend",
    }
)
"""Top-level keys a resumed command may change freely."""

FREE_PATHS = frozenset(
    {
        "trainer/*/dataloader_num_workers",
        "tester/GlobalEmbeddingSpaceTester/dataloader_num_workers",
        "tester/GlobalEmbeddingSpaceTester/batch_size",
        "dataset/*/download",
        "dataset/*/root",
        "dataset/*/sources",
        "dataset/*/images",
    }
)
"""The same below top-level keys; ``*`` stands for any class."""


def is_free(path: str) -> bool:
    """Whether the setting at a slash path changes no result."""
    parts = path.split("/")
    below = parts[-1:] if parts[0] == "dataset" else parts[2:]  # a dataset may stand within another
    wild = "/".join([parts[0], "*", *below])
    return parts[0] in FREE_KEYS or path in FREE_PATHS or wild in FREE_PATHS


def without_free(plain: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A plain config without its free settings."""
    return {
        key: without_free(value, f"{above}{key}/") if isinstance(value, Mapping) else value
        for key, value in plain.items()
        if not is_free(f"{above}{key}")
    }
