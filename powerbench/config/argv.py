"""Reading a command line: cut at words that start with ``--``, the words between joined again and read as YAML.

Values are typed as in the published commands, without quotes: ``--x {a: {b: 1}}`` arrives from bash in
several words. What bash damaged (it turns ``{a:1,b:2}`` into ``a:1 b:2``) is refused with the repaired text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerbench.config.categories import CATEGORIES, all_keys, category_of
from powerbench.config.keys import parse_key
from powerbench.config.yaml_text import parse_yaml
from powerbench.errors import UserError, nearest

FlagType = type | tuple[str, ...]
"""``bool``, ``int``, ``float``, ``str``, ``Path``, ``list`` (of texts), or the texts to choose from."""

_FLAG = re.compile(r"--(?P<name>[^=\s]+?)(?:=(?P<value>.*))?", re.DOTALL)
_PAIRS = {"}": "{", "]": "["}
_QUOTED = re.compile(r"""(?<![^\s\[{,:])("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')""")


@dataclass(frozen=True)
class CommandLine:
    """``flags`` of the program, yaml names by category, and config keys (operators included) to override."""

    flags: dict[str, Any]
    config_names: dict[str, tuple[str, ...]]
    overrides: dict[str, Any]


def parse(argv: Sequence[str], flags: Mapping[str, FlagType]) -> CommandLine:
    """Sort the words of a command line into flags, config names and overrides.

    Raises UserError for a stray word, a repeated or unknown flag or key, and a value that cannot be read.
    """
    found: dict[str, list[str]] = {}
    for name, words in _cut(argv):
        if name in found:
            raise UserError("is given twice.", where=f"--{name}")
        found[name] = words
    given_flags: dict[str, Any] = {}
    config_names: dict[str, tuple[str, ...]] = {}
    overrides: dict[str, Any] = {}
    for name, words in found.items():
        if name in flags:
            given_flags[name] = _flag_value(name, words, flags[name])
        elif name in CATEGORIES:
            config_names[name] = _names(name, words)
        else:
            _refuse_unknown(name, flags)
            overrides[name] = _value(name, words)
    return CommandLine(given_flags, config_names, overrides)


def _cut(argv: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each flag with the words up to the next one."""
    name: str | None = None
    words: list[str] = []
    for word in argv:
        if not word.startswith("--"):
            if name is None:
                raise UserError(f"{word!r} stands alone; values follow a flag, as in --patience 3.")
            words.append(word)
            continue
        if name is not None:
            yield name, words
        match = _FLAG.fullmatch(word)
        if match is None:
            raise UserError(f"{word!r} is not a flag.")
        name, words = match["name"], [] if match["value"] is None else [match["value"]]
    if name is not None:
        yield name, words


def _refuse_unknown(name: str, flags: Iterable[str]) -> None:
    key = parse_key(name, f"--{name}").name
    if category_of(key) is None:
        valid = [*flags, *CATEGORIES, *all_keys()]
        near = [f"--{found}" for found in nearest(key, valid) or nearest(key.replace("-", "_"), valid)]
        raise UserError(f"there is no flag and no config key named {key!r}.", where=f"--{name}", near=near)


def _flag_value(name: str, words: list[str], kind: FlagType) -> Any:
    text = " ".join(words)
    if kind is bool:
        value = _value(name, words)
        if not isinstance(value, bool):
            raise UserError(f"takes no value, not {text!r}.", where=f"--{name}")
        return value
    if not words:
        raise UserError("needs a value.", where=f"--{name}")
    if kind is list:
        return _names(name, words)
    if len(words) > 1:
        raise UserError(
            f"takes one value, not {len(words)} ({', '.join(words)}); put it in quotes if it has spaces.",
            where=f"--{name}",
        )
    if isinstance(kind, tuple):
        if text not in kind:
            raise UserError(f"takes {' or '.join(kind)}, not {text!r}.", where=f"--{name}", near=nearest(text, kind))
        return text
    return text if kind is str else Path(text) if kind is Path else _number(name, text, kind)


def _number(name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        words = "a whole number" if kind is int else "a number"
        raise UserError(f"takes {words}, not {text!r}.", where=f"--{name}") from None


def _names(name: str, words: list[str]) -> tuple[str, ...]:
    """A list of names: ``[a, b]``, or the words ``a b`` as older versions took them."""
    text = " ".join(words)
    if not text.startswith(("[", "{")):
        return tuple(words)
    value = _value(name, words)
    if not isinstance(value, list) or not all(isinstance(item, str | int | float) for item in value):
        raise UserError(f"takes a list of names, as in [default, demo], not {text}.", where=f"--{name}")
    return tuple(str(item) for item in value)


def _value(name: str, words: list[str]) -> Any:
    """The YAML value of the words after a flag; no words mean True."""
    if not words:
        return True
    where, text = f"--{name}", " ".join(words)
    opened = text.lstrip().startswith(("{", "[", '"', "'"))
    if len(words) > 1 and not opened:
        raise UserError(_damaged(name, words), where=where)
    _check_balance(name, text)
    try:
        return parse_yaml(text, where)
    except UserError as error:
        if len(words) > 1 and "space after the colon" not in error.what and "duplicate" not in error.what:
            raise UserError(
                f"{error.what} If bash changed the value, put it in quotes: --{name} '...'.", where=where
            ) from error
        raise


def _damaged(name: str, words: list[str]) -> str:
    """What to say about several words that are no bracketed value: bash expands ``{a:1,b:2}`` and ``{a,b}``."""
    if any(":" in word for word in words):
        joined = ", ".join(word.strip(",") if ": " in word else word.replace(":", ": ", 1) for word in words)
        repaired = f"'{{{joined}}}'" if all(":" in word for word in words) else "'{key: value, ...}'"
        return (
            f"got the words {' '.join(words)!r}; bash expands braces, so put the value in quotes: --{name} {repaired}."
        )
    return (
        f"got several values ({', '.join(words)}); write a list as [{', '.join(words)}], and if you typed braces, "
        f"put them in quotes, because bash expands them: --{name} '{{...}}'."
    )


def _check_balance(name: str, text: str) -> None:
    """Every bracket must be closed by its like, or a word was lost."""
    stack: list[str] = []
    for character in _QUOTED.sub("", text):
        if character in _PAIRS.values():
            stack.append(character)
        elif character in _PAIRS and (not stack or stack.pop() != _PAIRS[character]):
            stack = ["?"]
            break
    if stack:
        raise UserError(
            f"the brackets in {text} do not match. If you typed them right, bash changed the value: "
            f"put it in quotes: --{name} '...'.",
            where=f"--{name}",
        )
