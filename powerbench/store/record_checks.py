"""Strict checks of a record's content, cell by cell, before any of it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from powerbench.errors import UserError
from powerbench.store.columns import Json, Measured, Number

MAX_ROWS = 5_000_000
MAX_TEXT = 100_000
MAX_NAME = 200
_INT64 = range(-(2**63), 2**63)


def check_record(content: Mapping[str, Any], expected: Sequence[Table], where: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of every expected table as dictionaries; raises :class:`UserError` naming the first fault."""
    unknown = sorted(set(content) - {table.name for table in expected})
    if unknown:
        raise UserError(f"unknown tables {unknown}; was it written by a newer version?", where=where)
    rows = {table.name: _rows(content.get(table.name), table, where) for table in expected}
    if len(rows["experiments"]) != 1:
        raise UserError(f"a record holds one experiment, not {len(rows['experiments'])}.", where=where)
    name = rows["experiments"][0]["name"]
    if not is_plain_name(name):
        raise UserError(f"{name[:MAX_NAME]!r} is not a name of an experiment.", where=where)
    for run in rows["runs"]:
        path = PurePosixPath(run["folder"])
        if path.is_absolute() or ".." in path.parts:
            raise UserError(f"the run folder {run['folder']!r} leads out of the experiment's.", where=where)
    return rows


def is_plain_name(name: str) -> bool:
    """Whether a name can be that of a folder and cannot lead elsewhere."""
    return 0 < len(name) <= MAX_NAME and name not in (".", "..") and not any(c in "/\\" or ord(c) < 32 for c in name)


def _rows(content: Any, table: Table, where: str) -> list[dict[str, Any]]:
    if not isinstance(content, dict) or set(content) != {"columns", "rows"} or not isinstance(content["rows"], list):
        raise UserError(f"table {table.name} is missing or not made of columns and rows.", where=where)
    names, rows = content["columns"], content["rows"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"the columns of {table.name} are not names.", where=where)
    if len(set(names)) != len(names) or not set(names) <= set(table.columns.keys()):
        raise UserError(f"table {table.name} has unknown columns; was it written by a newer version?", where=where)
    absent = [c.name for c in table.columns if c.name not in names and not c.nullable]
    if absent or len(rows) > MAX_ROWS:
        raise UserError(f"table {table.name} lacks {absent}, or has more than {MAX_ROWS} rows.", where=where)
    columns = [table.c[name] for name in names]
    checked = []
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise UserError(f"row {number} of {table.name} does not have {len(columns)} values.", where=where)
        for column, value in zip(columns, row, strict=True):
            if not _fits(column, value):
                raise UserError(
                    f"row {number} of {table.name}: {column.name} cannot be {str(value)[:80]!r}.", where=where
                )
        checked.append(dict(zip(names, row, strict=True)))
    return checked


def _fits(column: Column[Any], value: Any) -> bool:
    kind = column.type
    if value is None:
        return bool(column.nullable)
    if isinstance(kind, Number | Measured):
        return type(value) is float or (type(value) is int and abs(value) <= 2**53)
    if isinstance(kind, Integer | BigInteger):
        return type(value) is int and value in _INT64
    if isinstance(kind, Json):
        return _encodable(value)
    return isinstance(kind, Text) and isinstance(value, str) and len(value) <= MAX_TEXT and _encodable(value)


def _encodable(value: Any) -> bool:
    """No half surrogate pairs and no NUL, which text columns cannot hold."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return all(_encodable(key) and _encodable(item) for key, item in value.items())
    return not isinstance(value, list) or all(_encodable(item) for item in value)
