"""The tables that powerful-benchmarker logged: ``saved_csvs/logs.db`` (SQLite), and one CSV file for each.

Whoever made them may be unknown: the database is opened read-only and unchangeable, only plain tables with the names
of accuracy tables are read, and no value is more than a number or a text.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

Row = dict[str, float | str | None]

ACCURACIES = re.compile(r"(?P<kind>\w*?)_?accuracies_\w+_(?P<split>TRAIN|VAL|TEST)", re.ASCII)
"""The names of tables of metrics; ``kind``: what made one value of several folds, empty in the log of one fold."""

DATABASE = "logs.db"
_MOST_ROWS = 1_000_000


def read_tables(folder: Path, notes: list[str]) -> dict[str, list[Row]]:
    """The accuracy tables in a folder ``saved_csvs``, rows in the order in which they were written.

    Those of the database, and of CSV files those that it lacks. What cannot be read is left out and told in ``notes``.
    """
    tables: dict[str, list[Row]] = {}
    for path in sorted(folder.glob("*.csv")):
        if ACCURACIES.fullmatch(path.stem):
            try:
                tables[path.stem] = list(_csv_rows(path))
            except (OSError, UnicodeDecodeError, csv.Error) as error:
                notes.append(f"{path} cannot be read ({error}): its values are not shown.")
    database = folder / DATABASE
    if database.is_file():
        try:
            tables.update(_database_rows(database))
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            instead = "the CSV files were read instead" if tables else "its values are not shown"
            notes.append(f"{database} cannot be read as a database ({error}): {instead}.")
    return tables


def _database_rows(path: Path) -> dict[str, list[Row]]:
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True)
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA query_only=ON")
        connection.row_factory = sqlite3.Row
        plain = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        names = [str(row["name"]) for row in connection.execute(plain)]
        return {name: _rows_of(connection, name) for name in names if ACCURACIES.fullmatch(name)}
    finally:
        connection.close()


def _rows_of(connection: sqlite3.Connection, table: str) -> list[Row]:
    """All rows; ``table`` consists of letters, digits and underscores."""
    found = connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid LIMIT {_MOST_ROWS}')
    return [dict(zip(row.keys(), map(_cell, row), strict=True)) for row in found]


def _csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a file in which a new header line stands wherever the columns changed."""
    columns: list[str] = []
    with open(path, newline="", encoding="utf-8") as file:
        for cells in csv.reader(file):
            if not columns or set(cells) & set(columns):
                columns = cells
            elif cells:
                yield {name: _cell(cell) for name, cell in zip(columns, cells, strict=False)}


def _cell(value: object) -> float | str | None:
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(str(value))
    except ValueError:
        return str(value)
