"""How values lie in the database: numbers keep every bit, JSON is text on every kind of database."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Dialect, Float, Text
from sqlalchemy.types import TypeDecorator


def to_json(value: Any) -> str:
    """JSON text; read-only mappings are written as objects, floats in their shortest exact form."""
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


class Number(TypeDecorator[float]):
    """A float64 that may be absent. NaN is stored as NULL, as SQLite can hold no NaN; infinities are kept."""

    impl = Float(53)
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """NaN becomes NULL."""
        return None if value is None or math.isnan(value) else float(value)

    def process_result_value(self, value: float | None, dialect: Dialect) -> float | None:
        """NULL stays ``None``."""
        return value


class Measured(Number):
    """A measured value: always a number, so NULL is read as NaN."""

    cache_ok = True

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """NULL becomes NaN."""
        return math.nan if value is None else value


class Json(TypeDecorator[Any]):
    """Any JSON value, as text. ``None`` is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Python value to text."""
        return None if value is None else to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Text to plain dicts, lists and scalars."""
        return None if value is None else json.loads(value)
