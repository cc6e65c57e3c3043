"""Keys of the config language: a name, and perhaps an operator written after it (``lr~LOG_BAYESIAN~``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from powerbench.errors import UserError, nearest

SEARCH_OPERATORS = ("BAYESIAN", "LOG_BAYESIAN", "INT_BAYESIAN", "CHOICE_BAYESIAN", "GRID")
"""Operators that stay in a merged config: the value is searched."""

DEPTH_OPERATORS = ("APPLY", "SWAP", "WRAP")
"""Operators followed by a depth: 1 is the key's own value."""

OPERATORS = ("OVERRIDE", "DELETE", *DEPTH_OPERATORS, *SEARCH_OPERATORS)

_WELL_FORMED = re.compile(r"(?P<name>[^~]+)~(?P<operator>[A-Z_]+)~(?P<depth>\d*)")
_LIKE_AN_OPERATOR = re.compile(r"[^/~]+~\s*[A-Za-z_]{2,}")
_USER_CLASS = re.compile(r".*\.py:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Key:
    """A parsed key. ``depth`` is 0 where the operator takes none."""

    name: str
    operator: str | None = None
    depth: int = 0

    @property
    def searched(self) -> bool:
        """Whether the value is a range or a list to search."""
        return self.operator in SEARCH_OPERATORS

    def __str__(self) -> str:
        if self.operator is None:
            return self.name
        return f"{self.name}~{self.operator}~{self.depth or ''}"


def names_user_class(key: str) -> bool:
    """Whether a key is ``path/to/file.py:Name``, where the colon is no mapping's colon."""
    return _USER_CLASS.fullmatch(key) is not None


def parse_key(raw: Any, where: str) -> Key:
    """The key's name and operator. Raises UserError for a misspelt operator, a missing or a wrong depth."""
    if not isinstance(raw, str):
        raise UserError(f"the key {raw!r} is not text; put it in quotes.", where=where)
    if names_user_class(raw):
        return Key(raw)
    match = _WELL_FORMED.fullmatch(raw)
    if match is None:
        return _without_operator(raw, where)
    name, operator, depth = match["name"], match["operator"], match["depth"]
    if operator not in OPERATORS:
        raise UserError(f"{raw}: there is no operator ~{operator}~.", where=where, near=_near(name, operator))
    if operator in DEPTH_OPERATORS and (not depth or int(depth) < 1):
        raise UserError(f"{raw}: ~{operator}~ needs a depth of 1 or more, as in {name}~{operator}~2.", where=where)
    if operator not in DEPTH_OPERATORS and depth:
        raise UserError(f"{raw}: ~{operator}~ takes no depth; write {name}~{operator}~.", where=where)
    return Key(name, operator, int(depth) if depth else 0)


def _without_operator(raw: str, where: str) -> Key:
    if raw.endswith(":") and "~" in raw:
        raise UserError(f"{raw}: there is a colon too much; write {raw.rstrip(':')}.", where=where)
    if _LIKE_AN_OPERATOR.match(raw):
        name, _, rest = raw.partition("~")
        near = _near(name, rest.strip("~ 0123456789").upper())
        raise UserError(
            f"{raw!r} is not a key with an operator; those are written name~OPERATOR~ or name~OPERATOR~2.",
            where=where,
            near=near,
        )
    return Key(raw)


def _near(name: str, operator: str) -> list[str]:
    return [f"{name}~{found}~{'N' if found in DEPTH_OPERATORS else ''}" for found in nearest(operator, OPERATORS)]
