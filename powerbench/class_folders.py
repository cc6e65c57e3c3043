"""Which classes our own folders hold, found by reading their text: importing happens only for the one asked for."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

OWN_FOLDERS: dict[str, tuple[str, str | None]] = {
    "loss": ("powerbench.losses", None),
    "miner": ("powerbench.miners", None),
    "sampler": ("powerbench.data.samplers", "plan"),
    "dataset": ("powerbench.datasets", "image"),
    "split_manager": ("split_managers", "folds"),
    "method": ("powerbench.methods", "losses"),
    "trunk": ("powerbench.models.trunks", None),
    "embedder": ("powerbench.models.embedders", None),
    "transform": ("powerbench.data.transforms", None),
}
"""Kind -> the package (or module) that holds our classes, and the method that tells them from their helpers."""


@dataclass(frozen=True)
class _Definition:
    module: str
    bases: tuple[str, ...]
    methods: frozenset[str]


def own_names(kind: str) -> list[str]:
    """The names of our classes of ``kind``."""
    return sorted(_own(kind))


def own_class(kind: str, name: str) -> Any | None:
    """Our class called ``name``, or None."""
    definition = _own(kind).get(name)
    return getattr(importlib.import_module(definition.module), name) if definition else None


@cache
def _own(kind: str) -> dict[str, _Definition]:
    if kind not in OWN_FOLDERS:
        return {}
    package, method = OWN_FOLDERS[kind]
    found = dict(definition for module, path in _files(package) for definition in _definitions(module, path))
    named = {name: d for name, d in found.items() if not name.startswith("_") and "ABC" not in d.bases}
    return {name: d for name, d in named.items() if _serves(d, method, found)}


def _files(package: str) -> Iterator[tuple[str, Path]]:
    """The modules of a package (or the module itself) with their files, contracts left out."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return
    if spec.submodule_search_locations is None:
        yield package, Path(spec.origin)
        return
    for path in sorted(Path(spec.origin).parent.glob("*.py")):
        if path.stem not in ("__init__", "contract"):
            yield f"{package}.{path.stem}", path


def _definitions(module: str, path: Path) -> Iterator[tuple[str, _Definition]]:
    """Top-level classes, and functions called like their file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            bases = tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases)
            methods = frozenset(item.name for item in node.body if isinstance(item, ast.FunctionDef))
            yield node.name, _Definition(module, bases, methods)
        elif isinstance(node, ast.FunctionDef) and node.name == path.stem:
            yield node.name, _Definition(module, (), frozenset())


def _serves(definition: _Definition, method: str | None, folder: dict[str, _Definition]) -> bool:
    if "Protocol" in definition.bases:
        return False
    inherited = (folder[base] for base in definition.bases if base in folder)
    return method is None or method in definition.methods or any(_serves(d, method, folder) for d in inherited)
