"""Merging configs, as powerful-benchmarker's language defines it; WRAP is ours.

================================ ===================================================================================
``key: value``                   two mappings are merged at any depth; anything else replaces
``key~OVERRIDE~: value``         replaces, without merging
``key~DELETE~: anything``        removes the key, if it is there
``key~APPLY~N: {a: 1}``          merges the mapping (one level) into every value at depth N; 1 is the key's own value
``key~SWAP~N: {New: null}``      renames the only key of each mapping at depth N, which keeps its value
``key~SWAP~N: {Old: New}``       renames Old wherever it stands at depth N
``key~WRAP~N: {New: {a: null}}`` puts New around each value at depth N, which becomes its argument a
``key~BAYESIAN~: [0, 1]``        and the other search operators stay in the merged config
================================ ===================================================================================

A key has one value: setting it in any of these ways drops what an older way set. What used to do nothing
without a word (APPLY or SWAP of a missing key, SWAP with parameters) is refused with the right spelling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from powerbench.config.keys import DEPTH_OPERATORS, Key, parse_key
from powerbench.config.wrapping import wrapper
from powerbench.config.yaml_text import flow
from powerbench.errors import UserError, nearest

KeyPath = tuple[str, ...]


def merge(
    base: Mapping[str, Any], new: Mapping[str, Any], source: str, origins: dict[KeyPath, str] | None = None
) -> dict[str, Any]:
    """``base`` with ``new`` merged in; neither is changed.

    ``source`` names where ``new`` was read (a file, the command line); ``origins`` receives it under the
    path of every value set. Raises UserError for a request that cannot be carried out.
    """
    return _Source(source, {} if origins is None else origins).merge(base, new, ())


def find_key(mapping: Mapping[str, Any], name: str) -> str | None:
    """The key of ``mapping`` called ``name``, with whichever search operator it has there."""
    return next((raw for raw in mapping if raw == name or _name(raw) == name), None)


def _name(raw: str) -> str:
    return parse_key(raw, "").name


class _Source:
    """One source of settings, and the record of where each setting came from."""

    def __init__(self, name: str, origins: dict[KeyPath, str]) -> None:
        self.name = name
        self.origins = origins

    def where(self, path: KeyPath) -> str:
        return f"{self.name}, {'/'.join(path)}" if path else self.name

    def merge(
        self, base: Mapping[str, Any], new: Mapping[str, Any], path: KeyPath, deep: bool = True
    ) -> dict[str, Any]:
        result = dict(base)
        for key, value in self._parsed(new, path):
            here, old = (*path, key.name), find_key(result, key.name)
            if key.operator == "DELETE":
                if old is not None:
                    del result[old]
                self._forget(here)
            elif key.operator in DEPTH_OPERATORS:
                old = self._existing(result, key, old, path)
                change = {"APPLY": self._apply, "SWAP": self._swap, "WRAP": self._wrap}[str(key.operator)]
                result[old] = change(result[old], key, value, here)
            elif deep and key.operator is None and _mergeable(result.get(key.name), value):
                result[key.name] = self.merge(result[key.name], value, here)
            else:
                result = self._set(result, old, key, value, here)
        return result

    def _parsed(self, new: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[Key, Any]]:
        """The keys of one mapping, none of which may be given a value twice."""
        valued = set()
        for raw, value in new.items():
            key = parse_key(raw, self.where(path))
            if key.operator not in (*DEPTH_OPERATORS, "DELETE"):
                if key.name in valued:
                    raise UserError(f"{key.name} is given twice.", where=self.where(path))
                valued.add(key.name)
            yield key, value

    def _set(self, result: dict[str, Any], old: str | None, key: Key, value: Any, here: KeyPath) -> dict[str, Any]:
        """Give a key a value of its own, in the place where an older variant of it stood."""
        raw = str(key) if key.searched else key.name
        self._forget(here)
        self.origins[here] = self.name
        fresh = value if key.searched else self._fresh(value, here)
        if old is None:
            return {**result, raw: fresh}
        return {raw if k == old else k: fresh if k == old else v for k, v in result.items()}

    def _fresh(self, value: Any, here: KeyPath) -> Any:
        """A value that is merged with nothing: its own operators are carried out."""
        if isinstance(value, list):
            self._refuse_operators(value, here)
        return self.merge({}, value, here) if isinstance(value, Mapping) else value

    def _refuse_operators(self, value: Any, here: KeyPath) -> None:
        if isinstance(value, Mapping):
            for raw, item in value.items():
                if parse_key(raw, self.where(here)).operator:
                    raise UserError(f"{raw}: operators do not work inside a list.", where=self.where(here))
                self._refuse_operators(item, here)
        elif isinstance(value, list):
            for item in value:
                self._refuse_operators(item, here)

    def _forget(self, here: KeyPath) -> None:
        for path in [path for path in self.origins if path[: len(here)] == here]:
            del self.origins[path]

    def _existing(self, result: Mapping[str, Any], key: Key, old: str | None, path: KeyPath) -> str:
        if old is None:
            near = nearest(key.name, map(_name, result))
            raise UserError(
                f"{key} changes {key.name}, which is not set yet; list the config that sets it first "
                f"(usually default).",
                where=self.where(path),
                near=near,
            )
        if parse_key(old, "").searched:
            raise UserError(f"{key} cannot change {old}, which is searched.", where=self.where(path))
        return old

    def _apply(self, node: Any, key: Key, value: Any, here: KeyPath) -> Any:
        if not isinstance(value, Mapping):
            raise UserError(f"{key} takes a mapping, as in {key} {{name: {flow(value)}}}.", where=self.where(here))
        self._require_places(node, key, here)

        def change(old: Any, path: KeyPath) -> Any:
            return self.merge(old if isinstance(old, Mapping) else {}, value, path, deep=False)

        return _changed(node, key.depth, here, change)

    def _require_places(self, node: Any, key: Key, here: KeyPath) -> None:
        if not any(True for _ in _at_depth(node, key.depth, here)):
            raise UserError(f"{key}: {key.name} has nothing at depth {key.depth}.", where=self.where(here))

    def _wrap(self, node: Any, key: Key, value: Any, here: KeyPath) -> Any:
        name, arguments, inside = wrapper(key, value, self.where(here))
        self._require_places(node, key, here)

        def change(old: Any, path: KeyPath) -> Any:
            if isinstance(old, Mapping) and list(old) == [name]:
                return {name: self.merge(old[name] or {}, arguments, (*path, name))}
            self._move(path, (*path, name, inside))
            self.origins[(*path, name)] = self.name
            return {name: {**self._fresh(arguments, (*path, name)), inside: old}}

        return _changed(node, key.depth, here, change)

    def _move(self, old: KeyPath, new: KeyPath) -> None:
        """What stood below ``old`` stands below ``new`` now."""
        for path in [path for path in self.origins if path[: len(old)] == old and path != old]:
            self.origins[(*new, *path[len(old) :])] = self.origins.pop(path)

    def _swap(self, node: Any, key: Key, value: Any, here: KeyPath) -> Any:
        names = self._renames(key, value, here)
        places = [old for old, _ in _at_depth(node, key.depth, here) if isinstance(old, Mapping)]
        found = {_name(raw) for place in places for raw in place}
        for old, new in names.items():
            if old is not None and old not in found and new not in found:
                raise UserError(
                    f"{key}: nothing at depth {key.depth} is called {old}.",
                    where=self.where(here),
                    near=nearest(old, found),
                )
        if not places:
            raise UserError(f"{key}: {key.name} has no mapping at depth {key.depth}.", where=self.where(here))

        def change(old: Any, path: KeyPath) -> Any:
            return self._renamed(old, names, key, path) if isinstance(old, Mapping) else old

        return _changed(node, key.depth, here, change)

    def _renames(self, key: Key, value: Any, here: KeyPath) -> dict[str | None, str]:
        """Old name -> new name; the old name None stands for the only one there is."""
        if not isinstance(value, Mapping) or not value:
            raise UserError(f"{key} takes {{New: null}} or {{Old: New}}, not {flow(value)}.", where=self.where(here))
        if all(isinstance(new, str) for new in value.values()):
            return dict(value)
        new, arguments = next(iter(value.items()))
        if isinstance(arguments, Mapping) and arguments:
            raise UserError(
                f"{key} only renames and takes no parameters; write {key} {{{new}: null}} and "
                f"{key.name}~APPLY~{key.depth + 1} {flow(arguments)}.",
                where=self.where(here),
            )
        if len(value) > 1 or (arguments is not None and arguments != {}):
            raise UserError(f"{key} takes {{New: null}} or {{Old: New}}, not {flow(value)}.", where=self.where(here))
        return {None: new}

    def _renamed(
        self, mapping: Mapping[str, Any], names: Mapping[str | None, str], key: Key, path: KeyPath
    ) -> dict[str, Any]:
        present = [_name(raw) for raw in mapping]
        if None in names:
            if names[None] in present:
                return dict(mapping)
            if len(present) != 1:
                raise UserError(
                    f"{key} {{{names[None]}: null}} needs exactly one key to rename, but there are {len(present)} "
                    f"({', '.join(present) or 'none'}); write {{Old: New}}.",
                    where=self.where(path),
                )
        chosen = {(present[0] if old is None else old): new for old, new in names.items()}
        for old, new in chosen.items():
            if old in present and new in present:
                raise UserError(f"{key}: both {old} and {new} are there already.", where=self.where(path))
        for old in set(chosen) & set(present):
            self._forget((*path, old))
            self.origins[(*path, chosen[old])] = self.name
        return {_with_name(raw, chosen): item for raw, item in mapping.items()}


def _mergeable(old: Any, new: Any) -> bool:
    return isinstance(old, Mapping) and isinstance(new, Mapping)


def _with_name(raw: str, names: Mapping[str, str]) -> str:
    key = parse_key(raw, "")
    return str(Key(names.get(key.name, key.name), key.operator, key.depth))


def _at_depth(node: Any, depth: int, path: KeyPath) -> Iterator[tuple[Any, KeyPath]]:
    """Every value at a depth (1 is ``node`` itself) with its path; searched values have no inside."""
    if depth == 1:
        yield node, path
    elif isinstance(node, Mapping):
        for raw, item in node.items():
            key = parse_key(raw, "")
            if not key.searched:
                yield from _at_depth(item, depth - 1, (*path, key.name))


def _changed(node: Any, depth: int, path: KeyPath, change: Any) -> Any:
    """``node`` with every value at a depth replaced by ``change(value, path)``."""
    if depth == 1:
        return change(node, path)
    if not isinstance(node, Mapping):
        return node
    return {
        raw: item if parse_key(raw, "").searched else _changed(item, depth - 1, (*path, _name(raw)), change)
        for raw, item in node.items()
    }
