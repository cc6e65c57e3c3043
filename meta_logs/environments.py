"""In what the environments of two experiments differ: versions, hardware, state of the code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from meta_logs.results import ExperimentResults
from powerbench.environment import environment_differences
from powerbench.store.evaluations import sample_of

_SHOWN = 60
_OF_A_METHOD = ("host", "user_code")
"""What may differ between methods and says nothing of the conditions."""


def environments_differ(earlier: ExperimentResults, now: ExperimentResults) -> list[str]:
    """``torch 2.5.1 -> 2.6.0`` for each key in which the trainings that count differ; empty if none does."""
    return environment_differences(_environment(earlier), _environment(now))


def environment_notes(results: Mapping[str, ExperimentResults]) -> list[str]:
    """What a table of methods says where they were not all computed with the same versions on the same hardware."""
    names, notes = list(results), []
    for name in names[1:]:
        differing = environments_differ(results[names[0]], results[name])
        told = [text for text in differing if text.partition(" ")[0] not in _OF_A_METHOD]
        if told:
            notes.append(f"{names[0]} and {name} were computed in different environments ({'; '.join(told)}).")
    return notes


def _environment(results: ExperimentResults) -> dict[str, str]:
    """Each key of the environments with all values that it had, as one text."""
    members = sample_of(list(results.trials))[1]
    used = {run.environment_id for trial in members for run in results.runs[trial.id]}
    values: dict[str, set[str]] = {}
    for environment in results.environments:
        if environment.id in used:
            for key, value in environment.content.items():
                values.setdefault(key, set()).add(_text(value))
    return {key: " and ".join(sorted(texts)) for key, texts in values.items()}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
