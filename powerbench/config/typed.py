"""From a plain config to the typed, frozen one; every mistake is told with its file, its key and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from powerbench.config.categories import WITHOUT_EFFECT
from powerbench.config.merged import MergedConfig
from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError, nearest
from powerbench.evaluation.names import Metric, parsed

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "mapping_type": "a mapping {key: value}",
    "dict_type": "a mapping {key: value}",
}


def typed(plain: Mapping[str, Any], merged: MergedConfig) -> ExperimentConfig:
    """The typed config of ``plain`` (flat, no operators); keys without effect are left out.

    Metric names are brought to their canonical spelling. Raises UserError for an unknown key, a missing key or a
    value of the wrong type; ``merged`` tells where each key came from. Several mistakes are told together.
    """
    ignored = {key for keys in WITHOUT_EFFECT.values() for key in keys}
    try:
        config = ExperimentConfig.model_validate({key: value for key, value in plain.items() if key not in ignored})
    except ValidationError as error:
        mistakes = [_explained(details, plain, merged) for details in error.errors()]
        raise mistakes[0] if len(mistakes) == 1 else UserError("\n".join(map(str, mistakes))) from None
    return _with_canonical_metrics(config, merged)


def _with_canonical_metrics(config: ExperimentConfig, merged: MergedConfig) -> ExperimentConfig:
    """The config with metric names in their canonical spelling. Raises UserError for an unknown one."""

    def metric(name: str, path: str) -> Metric:
        try:
            return parsed(name)
        except UserError as error:
            raise UserError(error.what, where=merged.where(path), near=error.near) from None

    path = "hook_container/HookContainer/primary_metric"
    primary = metric(config.hook_container.primary_metric, path)
    if not primary.larger_is_better:
        what = f"{primary.name} describes the embedding space; larger is not better, so nothing can be chosen by it."
        raise UserError(what, where=merged.where(path))
    names = tuple(dict.fromkeys(metric(name, "evaluation_metrics").name for name in config.evaluation_metrics))
    hooks = config.hook_container.model_copy(update={"primary_metric": primary.name})
    return config.model_copy(update={"hook_container": hooks, "evaluation_metrics": names})


def _explained(details: Any, plain: Mapping[str, Any], merged: MergedConfig) -> UserError:
    kind, given = details["type"], details.get("input")
    path = _path_in(plain, [str(part) for part in details["loc"]])
    where = merged.where(path)
    if kind == "extra_forbidden":
        valid = _names_beside(details["loc"])
        what = f"there is no key {path[-1]!r} here (there are: {', '.join(valid)})."
        return UserError(what, where=where, near=nearest(path[-1], valid))
    if kind == "missing":
        return UserError(
            f"{'/'.join(map(str, details['loc']))} is missing; list the config that sets it first (usually default)."
        )
    if kind == "literal_error":
        choices = details["ctx"]["expected"].replace("'", "")
        return UserError(f"expected {choices}, not {given!r}.", where=where, near=_near_choices(given, choices))
    if kind == "too_short":
        return UserError("expected at least one entry.", where=where)
    if kind in _EXPECTED:
        return UserError(f"expected {_EXPECTED[kind]}, not {given!r}.", where=where)
    message = details["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return UserError(f"{message}." if kind == "value_error" else f"{message}, not {given!r}.", where=where)


def _path_in(plain: Mapping[str, Any], loc: Sequence[str]) -> list[str]:
    """The keys that lead to a place of the schema: those that the schema knows, and the class names between."""
    path: list[str] = []
    node: Any = plain
    for part in loc:
        if isinstance(node, Mapping) and part not in node and len(node) == 1:
            name, node = next(iter(node.items()))
            path.append(name)
        path.append(part)
        node = node.get(part) if isinstance(node, Mapping) else None
    return path


def _names_beside(loc: Sequence[int | str]) -> list[str]:
    """The names that the schema knows where ``loc`` points."""
    model: type[BaseModel] = ExperimentConfig
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        if field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return list(model.model_fields)


def _near_choices(given: Any, choices: str) -> tuple[str, ...]:
    return nearest(str(given), choices.replace(" or ", ", ").split(", "))
