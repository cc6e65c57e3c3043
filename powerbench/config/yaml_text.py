"""Strict YAML: safe, duplicate keys are errors, ``1e-4`` is a number, mistakes are explained with their place."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from powerbench.config.keys import names_user_class
from powerbench.errors import UserError

_INT = r"[-+]?(?:0|[1-9][0-9_]*|0b[0-1_]+|0x[0-9a-fA-F_]+|0[0-7_]+)"
_FLOAT = r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
_SPECIAL_FLOAT = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
_LOST_COLON = re.compile(r"([\w.]+~[A-Z_]+~\d*)\s*[{\[]")
_BREADTH_OF_A_LINE = 10_000
_MOST_VALUES = 1_000_000
_LONGEST_KEY = 500
"""Characters; quoted they are still fewer than the 1024 that a reader looks ahead."""


class _Loader(yaml.SafeLoader):
    """Safe loading with our numbers, without duplicate keys, and without aliases that grow beyond measure."""

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is not None:
            _refuse_growth(node, {})
        return self.construct_document(node) if node is not None else None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _refuse_growth(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values a node stands for once its aliases are copied out; ``sizes`` are of nodes seen (0: within)."""
    if id(node) not in sizes:
        sizes[id(node)] = 0
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        children = [child for part in parts for child in (part if isinstance(part, tuple) else (part,))]
        sizes[id(node)] = 1 + sum(_refuse_growth(child, sizes) for child in children)
    if not 0 < sizes[id(node)] <= _MOST_VALUES:
        what = "a value contains itself" if sizes[id(node)] == 0 else f"more than {_MOST_VALUES:,} values"
        raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)
    return sizes[id(node)]


_OTHER_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")


class _Dumper(yaml.SafeDumper):
    """Writes what the loader reads back as the same value."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Line breaks other than the usual one are lost unless they are escaped."""
        style = '"' if _OTHER_LINE_BREAKS.search(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def check_simple_key(self) -> bool:
        """Keys such as the path of a user's file stay on their line (PyYAML puts ``?`` before longer ones than 127)."""
        event = self.event
        long = isinstance(event, yaml.ScalarEvent) and event.value.isprintable() and len(event.value) < _LONGEST_KEY
        return bool(super().check_simple_key() or long)


def _our_scalars(resolvers: dict[str, list[tuple[str, re.Pattern[str]]]]) -> dict[str, list[tuple[str, Any]]]:
    """YAML 1.1's plain scalars without dates and base-60 numbers, and with floats such as 1e-4."""
    replaced = ("float", "int", "timestamp")
    kept = {
        first: [(tag, pattern) for tag, pattern in pairs if tag.rpartition(":")[2] not in replaced]
        for first, pairs in resolvers.items()
    }
    for first in "-+0123456789.":
        ours = [
            ("tag:yaml.org,2002:float", f"^(?:{_FLOAT}|{_SPECIAL_FLOAT})$"),
            ("tag:yaml.org,2002:int", f"^(?:{_INT})$"),
        ]
        kept[first] = [(tag, re.compile(pattern)) for tag, pattern in ours] + kept.get(first, [])
    return kept


_Loader.yaml_implicit_resolvers = _our_scalars(yaml.SafeLoader.yaml_implicit_resolvers)
_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text. Raises UserError with the line (in files) and a hint where one is known."""
    try:
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(_explain(text, error), where=_place(where, error)) from error
    except RecursionError as error:
        raise UserError("values are nested too deeply.", where=where) from error
    _refuse_lost_spaces(value, where)
    return value


def read_yaml(path: Path, shown: str | None = None) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping. ``shown`` names the file in errors."""
    where = shown or str(path)
    try:
        value = parse_yaml(path.read_text(encoding="utf-8"), where)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=where) from error
    if value is not None and not isinstance(value, dict):
        raise UserError("a config file must hold 'key: value' pairs at its top level.", where=where)
    return value or {}


def dump_yaml(value: Any) -> str:
    """YAML text, keys in their order, that :func:`parse_yaml` reads back as ``value``."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def flow(value: Any) -> str:
    """A value as it is typed on a command line, for messages."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=True, width=_BREADTH_OF_A_LINE)
    return text.removesuffix("\n").removesuffix("\n...")


def _explain(text: str, error: Exception) -> str:
    if lost := _LOST_COLON.search(text):
        return f"a colon and a space are missing after {lost[1]}: write {lost[1]}: {{...}}."
    if isinstance(error, yaml.MarkedYAMLError):
        what = error.problem or "bad YAML"
        return f"{what} {error.context}." if error.context else f"{what}."
    return f"bad YAML: {error}"


def _place(where: str, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{where}, line {mark.line + 1}" if mark is not None and not where.startswith("--") else where


def _refuse_lost_spaces(value: Any, where: str) -> None:
    """In ``{a:1}`` YAML sees one key ``a:1`` without a value."""
    if isinstance(value, list):
        for item in value:
            _refuse_lost_spaces(item, where)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if item is None and isinstance(key, str) and ":" in key.strip(":") and not names_user_class(key):
            name, _, rest = key.partition(":")
            raise UserError(f"there must be a space after the colon in {key!r}: write {name}: {rest}.", where=where)
        _refuse_lost_spaces(item, where)
