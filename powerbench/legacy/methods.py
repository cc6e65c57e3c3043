"""The training methods of powerful-benchmarker as they were published, where ours are others unless told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ADVERSARIAL, CASCADED = "DeepAdversarialMetricLearning", "CascadedEmbeddings"
_TRUNK_OF_CASCADES = "inception_v3"
_AS_PASSED_THROUGH = {"transform_input": False, "dropout": 0.0}
_GENERATOR = {"MLP": {"layer_sizes": [3, 1, 1]}}


def method_of(values: Mapping[str, Any]) -> str | None:
    """The name of the method in the top-level keys of an old config, if they have one."""
    trainer = values.get("trainer")
    name = next(iter(trainer), None) if isinstance(trainer, Mapping) else values.get("training_method")
    return name if isinstance(name, str) else None


def published_method(values: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Keys of the config language that make today's method the published one, each with a note on it."""
    name = method_of(values)
    models = values.get("models")
    models = models if isinstance(models, Mapping) else {}
    if name == ADVERSARIAL:
        note = f"{name} is trained as powerful-benchmarker did (variant: powerful_benchmarker)."
        changes: list[tuple[str, Any, str]] = [("trainer~APPLY~2", {"variant": "powerful_benchmarker"}, note)]
        if models and "generator" not in models:
            note = f"{name} had its generator in code then; it is {_GENERATOR} here."
            changes.append(("models", {"generator": _GENERATOR}, note))
        return changes
    trunk = models.get("trunk")
    if name == CASCADED and isinstance(trunk, Mapping) and set(trunk) == {_TRUNK_OF_CASCADES}:
        given = trunk[_TRUNK_OF_CASCADES] or {}
        added = {key: value for key, value in _AS_PASSED_THROUGH.items() if key not in given}
        note = f"{name} passed images through the children of {_TRUNK_OF_CASCADES} in turn: {added} here."
        return [("models", {"trunk": {_TRUNK_OF_CASCADES: added}}, note)] if added else []
    return []
