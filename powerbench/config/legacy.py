"""Settings of powerful-benchmarker that are read and change nothing, said so to the user."""

from __future__ import annotations

from typing import Any

from powerbench.config.categories import WITHOUT_EFFECT
from powerbench.config.merged import MergedConfig

_INSTEAD = {
    "save_figures_on_tensorboard": "figures are made from the results store",
    "save_lists_in_db": "the results store keeps single numbers",
    "override_required_compatible_factories": "there are no factories",
    "api_parser": "methods need no parser",
    "log_data_to_tensorboard": "losses and metrics are in the results store",
    "factories": "there are no factories; classes are found by name",
}
_SHIPPED: dict[str, Any] = {"log_data_to_tensorboard": True}
"""Values in the shipped defaults that need no note (elsewhere: null and False)."""


def without_effect(merged: MergedConfig) -> list[str]:
    """One line for each setting that differs from the shipped defaults and still changes nothing."""
    flat = merged.flat()
    ignored = [key for keys in WITHOUT_EFFECT.values() for key in keys]
    notes = [_note(key, merged.origin(key)) for key in ignored if key in flat and _asks_for_something(key, flat[key])]
    return notes + _inside(flat, merged)


def _asks_for_something(key: str, value: Any) -> bool:
    if key == "factories":
        return bool(value != {name: {f"{_camel(name)}Factory": {}} for name in value or {}})
    return bool(value) and value != _SHIPPED.get(key)


def _note(key: str, origin: str) -> str:
    return f"{origin}: {key} has no effect ({_INSTEAD[key]})."


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _inside(flat: dict[str, Any], merged: MergedConfig) -> list[str]:
    """Notes on settings within keys that do have an effect."""
    notes = []
    tester = _arguments(flat.get("tester"))
    if tester.get("visualizer"):
        path = ("tester", "GlobalEmbeddingSpaceTester", "visualizer")
        notes.append(f"{merged.origin(path)}: {'/'.join(path)} has no effect (no plots of embeddings are made).")
    if _arguments(tester.get("accuracy_calculator")):
        path = ("tester", "GlobalEmbeddingSpaceTester", "accuracy_calculator")
        notes.append(f"{merged.origin(path)}: {'/'.join(path)} has no effect (evaluation_metrics names the metrics).")
    if _arguments(flat.get("aggregator")).get("split_to_aggregate", "val") != "val":
        path = ("aggregator", "MeanAggregator", "split_to_aggregate")
        notes.append(f"{merged.origin(path)}: {'/'.join(path)} has no effect (splits_to_eval says what is evaluated).")
    if _arguments(flat.get("hook_container")).get("save_models", True) is not True:
        path = ("hook_container", "HookContainer", "save_models")
        notes.append(f"{merged.origin(path)}: {'/'.join(path)} has no effect (keep_weights says what is kept).")
    return notes


def _arguments(spec: Any) -> dict[str, Any]:
    """The arguments of ``{Name: {argument: value}}``."""
    values = list(spec.values()) if isinstance(spec, dict) else []
    return values[0] if len(values) == 1 and isinstance(values[0], dict) else {}
