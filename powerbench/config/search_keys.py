"""Which keys of a merged config are searched, and the plain config for chosen values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from powerbench.config.keys import parse_key
from powerbench.config.merged import MergedConfig
from powerbench.config.yaml_text import flow
from powerbench.errors import UserError

Operator = Literal["BAYESIAN", "LOG_BAYESIAN", "INT_BAYESIAN", "CHOICE_BAYESIAN", "GRID"]


@dataclass(frozen=True)
class SearchKey:
    """A searched parameter: ``value`` is (low, high) for ranges, all values for CHOICE_BAYESIAN and GRID.

    ``path`` is its name, the keys joined by slashes; ``where`` the file that holds it.
    """

    path: str
    keys: tuple[str, ...]
    operator: Operator
    value: tuple[Any, ...]
    where: str

    @property
    def choices(self) -> bool:
        """Whether ``value`` lists values instead of bounding a range."""
        return self.operator in ("CHOICE_BAYESIAN", "GRID")


def search_keys(merged: MergedConfig) -> tuple[SearchKey, ...]:
    """All searched keys in the order of the config.

    Raises UserError with file and key for bounds that are reversed, equal, not numbers, not whole where
    they must be, or not positive on a log scale; and for lists with fewer than two different values.
    """
    return tuple(_searched(merged.flat(), (), merged))


def fill(merged: MergedConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """The flat config with each searched key replaced by its value; ``values`` maps slash paths.

    Raises ValueError unless ``values`` names exactly the searched keys.
    """
    expected = {key.path for key in search_keys(merged)}
    if set(values) != expected:
        raise ValueError(f"values for {sorted(values)} do not fit the searched keys {sorted(expected)}")
    filled = _filled(merged.flat(), (), values)
    assert isinstance(filled, dict)
    return filled


def first_values(merged: MergedConfig) -> dict[str, Any]:
    """The low bound, or the first choice, of every searched key."""
    return {key.path: key.value[0] for key in search_keys(merged)}


def _searched(node: Any, path: tuple[str, ...], merged: MergedConfig) -> Iterator[SearchKey]:
    if not isinstance(node, Mapping):
        return
    for raw, value in node.items():
        key = parse_key(raw, merged.where(path))
        here = (*path, key.name)
        if key.searched:
            operator: Any = key.operator
            yield SearchKey(
                "/".join(here),
                here,
                operator,
                _checked(operator, value, str(key), merged.where(here)),
                merged.origin(here),
            )
        else:
            yield from _searched(value, here, merged)


def _filled(node: Any, path: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    if not isinstance(node, Mapping):
        return node
    filled = {}
    for raw, value in node.items():
        key = parse_key(raw, "")
        here = (*path, key.name)
        filled[key.name] = values["/".join(here)] if key.searched else _filled(value, here, values)
    return filled


def _checked(operator: Operator, value: Any, key: str, where: str) -> tuple[Any, ...]:
    if operator in ("CHOICE_BAYESIAN", "GRID"):
        return _choices(value, key, where)
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
        raise UserError(f"{key} takes [low, high], two numbers, not {flow(value)}.", where=where)
    low, high = value
    if operator == "INT_BAYESIAN" and not all(isinstance(bound, int) for bound in value):
        raise UserError(f"{key} takes whole numbers, not {flow(value)}.", where=where)
    if low >= high:
        what = "equal" if low == high else "reversed"
        advice = f"to fix the value write {key.partition('~')[0]}: {low}" if low == high else f"write [{high}, {low}]"
        raise UserError(f"the bounds of {key} are {what} ({flow(value)}); {advice}.", where=where)
    if operator == "LOG_BAYESIAN" and low <= 0:
        raise UserError(f"the low bound of {key} must be above 0 on a log scale, not {low}.", where=where)
    return (low, high) if operator == "INT_BAYESIAN" else (float(low), float(high))


def _choices(value: Any, key: str, where: str) -> tuple[Any, ...]:
    scalar = isinstance(value, list) and all(isinstance(item, str | int | float) for item in value)
    if not scalar or len(value) < 2 or len({(type(item), item) for item in value}) < len(value):
        raise UserError(
            f"{key} takes a list of two or more different texts, numbers or true/false, not {flow(value)}.", where=where
        )
    return tuple(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
