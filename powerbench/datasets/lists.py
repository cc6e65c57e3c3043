"""The text files in which datasets list their images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from powerbench.errors import UserError

DIGITS = 18
"""The longest number that surely fits into the 64 bits of a label."""


def read_lines(path: Path) -> list[str]:
    """The lines of a list file in UTF-8. UserError that names it, and the line, if it cannot be read."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line} cannot be read as UTF-8: {error.reason}.") from error


def is_number(word: str) -> bool:
    """Whether a word is a whole number in the digits 0 to 9."""
    return word.isascii() and word.isdigit() and len(word) <= DIGITS


def refuse_repeated(items: Iterable[str], source: str) -> None:
    """Raise UserError that names the first item that ``source`` lists more than once."""
    seen: set[str] = set()
    for item in items:
        if item in seen:
            raise UserError(f"{source} lists {item} twice.")
        seen.add(item)
