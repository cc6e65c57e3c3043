"""Suite files: several methods under one protocol, with equal budgets, folds and seeds, in one table.

A suite file names what all methods share (``config_<category>`` lists, ``overrides``, ``trials``,
``reproductions``) and, for each method, what is its own. Every method's experiment is named ``<suite>_<method>``.
With ``protocols``, every method is run under each of them, in an experiment named ``<suite>_<protocol>_<method>``,
and each protocol has a table of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from powerbench.config.categories import CATEGORIES, all_keys
from powerbench.config.sources import suite_path
from powerbench.config.yaml_text import read_yaml
from powerbench.driver.folder import check_name
from powerbench.driver.requests import Request
from powerbench.errors import UserError, nearest
from powerbench.plan import Budget


class _Entry(BaseModel):
    """Config lists and overrides at one level of a suite file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    configs: dict[str, list[str]] = Field(default_factory=dict, alias="config_*")
    overrides: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return {} if value is None else value
        configs = {key: value[key] for key in value if key in CATEGORIES}
        return {**{key: item for key, item in value.items() if key not in configs}, "config_*": configs}


class _Method(_Entry):
    """What is a method's own."""

    first_trials: list[dict[str, Any]] | None = None


class _Protocol(_Entry):
    """One of several protocols: what it adds to the shared part, and to the methods."""

    title: str = ""
    trials: int | None = Field(default=None, ge=0)
    reproductions: int | None = Field(default=None, ge=0)
    methods: dict[str, _Method] = Field(default_factory=dict)


class _File(_Entry):
    """A suite file."""

    title: str = ""
    trials: int = Field(0, ge=0)
    reproductions: int = Field(0, ge=0)
    methods: dict[str, _Method] = Field(min_length=1)
    protocols: dict[str, _Protocol] = Field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """The methods under one protocol: what stands in one table. ``requests`` are by method."""

    name: str
    title: str
    budget: Budget
    requests: Mapping[str, Request]

    @property
    def experiments(self) -> dict[str, str]:
        """The name of each method's experiment."""
        return {method: request.name for method, request in self.requests.items()}


@dataclass(frozen=True)
class Suite:
    """A named suite: one part, or one for each of its protocols."""

    name: str
    parts: tuple[Part, ...]


def load_suite(text: str, *, root: Path | None, merge: bool = False, overrides: Mapping[str, Any]) -> Suite:
    """The suite of a file, or of a name in ``experiment_configs/suites``.

    ``overrides`` (the command line's) are laid over every method. Raises :class:`UserError` for unknown
    keys, wrong types, a file or name that does not exist, and a suite that would train nothing.
    """
    path = suite_path(text, root)
    name = check_name(path.stem)
    try:
        content = _File.model_validate(read_yaml(path))
    except ValidationError as error:
        raise _explained(error, path) from None
    protocols = content.protocols or {"": _Protocol()}
    parts = tuple(_part(name, protocol, content, path, merge, overrides) for protocol in protocols.items())
    _refuse_equal_names(parts, path)
    return Suite(name, parts)


def only(suite: Suite, methods: Sequence[str]) -> Suite:
    """The suite with these of its methods alone. Raises :class:`UserError` for one that it does not have."""
    known = dict.fromkeys(method for part in suite.parts for method in part.requests)
    for method in methods:
        if method not in known:
            raise UserError(f"{suite.name} has no method {method!r}.", where="--methods", near=nearest(method, known))
    parts = []
    for part in suite.parts:
        requests = {method: request for method, request in part.requests.items() if method in methods}
        parts.append(replace(part, requests=requests))
    return Suite(suite.name, tuple(parts))


def _part(
    suite: str, named: tuple[str, _Protocol], content: _File, path: Path, merge: bool, overrides: Mapping[str, Any]
) -> Part:
    protocol_name, protocol = named
    name = f"{suite}_{protocol_name}" if protocol_name else suite
    budget = _budget(content, protocol, path)
    for method in protocol.methods:
        if method not in content.methods:
            what = f"{protocol_name} adds to the method {method}, which the suite does not have."
            raise UserError(what, where=str(path), near=nearest(method, content.methods))
    requests = {}
    for method, entry in content.methods.items():
        levels: list[_Entry] = [content, protocol, entry, protocol.methods.get(method, _Method())]
        configs = {category: names for level in levels for category, names in level.configs.items()}
        layers = [(str(path), _overrides(level)) for level in levels]
        requests[method] = Request(check_name(f"{name}_{method}"), budget, configs, overrides, merge, layers)
    title = protocol.title or ": ".join(text for text in (content.title or suite, protocol_name) if text)
    return Part(name, title, budget, requests)


def _budget(content: _File, protocol: _Protocol, path: Path) -> Budget:
    trials = content.trials if protocol.trials is None else protocol.trials
    reproductions = content.reproductions if protocol.reproductions is None else protocol.reproductions
    if not trials and not reproductions:
        raise UserError(
            "a suite says how much is trained for each method: trials (of a search) or reproductions (of the best "
            "setting found, or without a search of the setting given), or both.",
            where=str(path),
        )
    return Budget(trials, tuple(range(reproductions)))


def _overrides(level: _Entry) -> dict[str, Any]:
    first_trials = level.first_trials if isinstance(level, _Method) else None
    return {**level.overrides, **({} if first_trials is None else {"first_trials": first_trials})}


def _refuse_equal_names(parts: tuple[Part, ...], path: Path) -> None:
    names = [name for part in parts for name in part.experiments.values()]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two experiments would be named {name}: rename a protocol or a method.", where=str(path))


def _explained(error: ValidationError, path: Path) -> UserError:
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"] if part != "config_*"]
    place, last = "/".join(parts), parts[-1]
    if first["type"] != "extra_forbidden":
        return UserError(f"{place}: {first['msg']}.", where=str(path))
    if last.partition("~")[0] in all_keys():
        return UserError(f"{place} is a config key: it belongs below overrides.", where=str(path))
    levels: dict[str, type[_Entry]] = {"methods": _Method, "protocols": _Protocol}
    level = levels.get(parts[-3], _File) if len(parts) > 2 else _File
    valid = [*CATEGORIES, *(field for field in level.model_fields if field != "configs")]
    return UserError(f"unknown key {place}.", where=str(path), near=nearest(last, valid))
