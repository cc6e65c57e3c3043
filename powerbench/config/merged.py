"""The merged config of an experiment: one mapping a category, search operators intact, and where each key came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from powerbench.config.categories import CATEGORIES, all_keys, category_of
from powerbench.config.keys import parse_key
from powerbench.config.language import KeyPath, merge
from powerbench.config.sources import config_path, is_path, packaged_folder
from powerbench.config.yaml_text import dump_yaml, read_yaml
from powerbench.errors import UserError, nearest
from powerbench.files import write_atomic

COMMAND_LINE = "command line"
DEFAULT = ("default",)


@dataclass(frozen=True)
class MergedConfig:
    """Category -> its merged keys, to be read only.

    ``origins`` (who set what) and ``notes`` (what the user should know) do not count in ``==``.
    """

    categories: Mapping[str, Mapping[str, Any]]
    origins: Mapping[KeyPath, str] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Mapping[str, Any]], origin: str = "stored config") -> Self:
        """The config that :meth:`plain` gave; every key is said to come from ``origin``."""
        return cls(dict(plain), {(key,): origin for keys in plain.values() for key in keys})

    def plain(self) -> dict[str, Any]:
        """The categories as plain dicts, to be stored as JSON."""
        return {category: dict(keys) for category, keys in self.categories.items()}

    @property
    def hash(self) -> str:
        """A SHA-256 that changes with any key, value or order (the order of transforms counts)."""
        return hashlib.sha256(json.dumps(self.plain()).encode()).hexdigest()

    def flat(self) -> dict[str, Any]:
        """All keys of all categories in one mapping."""
        return {key: value for keys in self.categories.values() for key, value in keys.items()}

    def origin(self, path: str | Iterable[str]) -> str:
        """The file, or "command line", that gave the value at a slash path (or at its nearest parent)."""
        keys = tuple(path.split("/")) if isinstance(path, str) else tuple(path)
        for end in range(len(keys), 0, -1):
            if keys[:end] in self.origins:
                return self.origins[keys[:end]]
        inside = (source for known, source in self.origins.items() if keys and known[: len(keys)] == keys)
        return next(inside, "config")

    def where(self, path: str | Iterable[str]) -> str:
        """Origin and path, as error messages name a place."""
        shown = path if isinstance(path, str) else "/".join(path)
        return f"{self.origin(path)}, {shown}"

    def with_overrides(self, overrides: Mapping[str, Any], source: str = COMMAND_LINE) -> MergedConfig:
        """This config with further keys (operators included) merged in, one by one, each into its own category."""
        categories, origins = dict(self.categories), dict(self.origins)
        for raw, value in overrides.items():
            category = _category_of(raw, source)
            categories[category] = merge(categories.get(category, {}), {raw: value}, source, origins)
        return MergedConfig(_ordered(categories), origins, self.notes)

    def with_categories(self, categories: Mapping[str, Mapping[str, Any]]) -> MergedConfig:
        """Other content under the same origins."""
        return replace(self, categories=_ordered(categories))

    def save(self, folder: Path) -> None:
        """Write ``<category>.yaml`` for each category."""
        for category, keys in self.categories.items():
            write_atomic(folder / f"{category}.yaml", dump_yaml(dict(keys)))


def load_config(
    names: Mapping[str, Sequence[str]],
    overrides: Mapping[str, Any],
    *,
    folder: Path | None = None,
    saved: Path | None = None,
) -> MergedConfig:
    """The merged config: for each category its list of names (``default`` if none is given), then ``overrides``.

    ``folder`` replaces the packaged configs. A name that ends in ``.yaml`` is a path; such a file may hold keys of
    any category, merged after all other files. With ``saved``, each category comes from that folder of an earlier
    experiment where it has a file; for the others the lists are used, with a note. Raises UserError.
    """
    root = Path(folder) if folder else packaged_folder()
    if not root.is_dir():
        raise UserError(f"there is no folder of configs at {root}.", where="--root_config_folder")
    known = load_saved(saved) if saved else MergedConfig({})
    categories, origins, notes = dict(known.categories), dict(known.origins), []
    paths: list[str] = []
    for category in [category for category in CATEGORIES if category not in categories]:
        listed = tuple(names.get(category, DEFAULT))
        if saved and CATEGORIES[category]:
            notes.append(f"{saved} has no {category}.yaml; took {', '.join(listed) or 'nothing'} instead.")
        categories[category] = _merged_files(root, category, [name for name in listed if not is_path(name)], origins)
        paths += [name for name in listed if is_path(name)]
    merged = MergedConfig(_ordered(categories), origins, tuple(notes))
    for path in paths:
        merged = merged.with_overrides(read_yaml(Path(path).expanduser()), path)
    return merged.with_overrides(overrides)


def load_saved(folder: Path) -> MergedConfig:
    """The config that :meth:`MergedConfig.save` wrote; categories without a file are left out.

    Raises UserError if the folder holds no config.
    """
    files = {category: folder / f"{category}.yaml" for category in CATEGORIES}
    origins: dict[KeyPath, str] = {}
    categories = {
        category: _merged_file({}, category, path, origins, str(path))
        for category, path in files.items()
        if path.is_file()
    }
    if not categories:
        raise UserError("holds no config (no config_*.yaml).", where=str(folder))
    return MergedConfig(categories, origins)


def _merged_files(root: Path, category: str, listed: Sequence[str], origins: dict[KeyPath, str]) -> dict[str, Any]:
    """The files of a category merged in order; a single file named like the category is used alone."""
    alone = root / f"{category}.yaml"
    if alone.is_file():
        return _merged_file({}, category, alone, origins, alone.name)
    merged: dict[str, Any] = {}
    for name in listed:
        path = config_path(category, name, root)
        merged = _merged_file(merged, category, path, origins, f"{category}/{name}.yaml")
    return merged


def _merged_file(
    base: Mapping[str, Any], category: str, path: Path, origins: dict[KeyPath, str], shown: str
) -> dict[str, Any]:
    content = read_yaml(path, shown)
    for raw in content:
        belongs = _category_of(raw, shown)
        if belongs != category:
            raise UserError(f"{raw} belongs to {belongs}, not to {category}.", where=shown)
    return merge(base, content, shown, origins)


def _category_of(raw: Any, source: str) -> str:
    name = parse_key(raw, source).name
    category = category_of(name)
    if category is None:
        raise UserError(f"there is no config key named {name!r}.", where=source, near=nearest(name, all_keys()))
    return category


def _ordered(categories: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {category: categories[category] for category in CATEGORIES if category in categories}
