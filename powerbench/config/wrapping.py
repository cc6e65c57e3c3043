"""What ``key~WRAP~N`` puts around the values at a depth: a class, one of whose arguments is what stood there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from powerbench.config.keys import Key
from powerbench.config.yaml_text import flow
from powerbench.errors import UserError


def wrapper(key: Key, value: Any, where: str) -> tuple[str, dict[str, Any], str]:
    """The class's name, the arguments that are given, and the one that is null: it takes what stood there."""
    if isinstance(value, Mapping) and len(value) == 1:
        name, arguments = next(iter(value.items()))
        given = dict(arguments) if isinstance(arguments, Mapping) else {}
        empty = [argument for argument, item in given.items() if item is None]
        if len(empty) == 1:
            del given[empty[0]]
            return name, given, empty[0]
    raise UserError(
        f"{key} takes {{New: {{argument: null}}}}, where the one argument that is null gets what stood there, not "
        f"{flow(value)}.",
        where=where,
    )
