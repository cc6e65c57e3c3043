"""A suite: several methods under one protocol, with equal budgets, folds and seeds, in one table.

A suite file names what all methods share (``config_<category>`` lists, ``overrides``, ``trials``,
``reproductions``) and, for each method, what is its own. Every method's experiment is named
``<suite>_<method>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from powerbench.config.categories import CATEGORIES
from powerbench.config.sources import suite_path
from powerbench.config.yaml_text import read_yaml
from powerbench.driver.folder import check_name
from powerbench.driver.requests import Request
from powerbench.errors import UserError, nearest
from powerbench.plan import Budget

_CONFIG_KEYS = tuple(CATEGORIES)


class _Entry(BaseModel):
    """What a method adds to the shared part."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    configs: dict[str, list[str]] = Field(default_factory=dict)
    overrides: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return {} if value is None else value
        configs = {key: value[key] for key in value if key in _CONFIG_KEYS}
        return {**{key: item for key, item in value.items() if key not in configs}, "configs": configs}


class _File(_Entry):
    """A suite file."""

    title: str = ""
    trials: int = Field(ge=0)
    reproductions: int = Field(ge=0)
    methods: dict[str, _Entry] = Field(min_length=1)


@dataclass(frozen=True)
class Suite:
    """A named suite and the request of each method, by method name."""

    name: str
    title: str
    requests: Mapping[str, Request]


def load_suite(text: str, *, root: Path | None, merge: bool, overrides: Mapping[str, Any]) -> Suite:
    """The suite of a file, or of a name in ``experiment_configs/suites``.

    ``overrides`` (the command line's) are laid over every method. Raises :class:`UserError` for unknown
    keys, wrong types, and a file or name that does not exist.
    """
    path = suite_path(text, root)
    name = check_name(path.stem)
    try:
        content = _File.model_validate(read_yaml(path))
    except ValidationError as error:
        raise _explained(error, path) from None
    budget = Budget(content.trials, tuple(range(content.reproductions)))
    requests = {
        method: Request(
            check_name(f"{name}_{method}"),
            budget,
            {**content.configs, **entry.configs},
            {**content.overrides, **entry.overrides, **overrides},
            merge,
        )
        for method, entry in content.methods.items()
    }
    return Suite(name, content.title, requests)


def _explained(error: ValidationError, path: Path) -> UserError:
    first = error.errors()[0]
    place = "/".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        valid = [*_CONFIG_KEYS, *_File.model_fields]
        return UserError(f"unknown key {place}.", where=str(path), near=nearest(str(first["loc"][-1]), valid))
    return UserError(f"{place}: {first['msg']}.", where=str(path))
