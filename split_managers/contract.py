"""What a split manager is given (the index of a dataset) and what it gives back (folds).

All arrays of these values are read-only copies, so that a fold cannot change after its
checksum was taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.int64]
"""Item numbers: positions in a :class:`DatasetIndex`."""

Episode = tuple[Indices, Indices]
"""A few-shot episode: the support items and the query items."""

Draw = tuple[Indices, Indices]
"""One way to look up a test set: the query items and the reference items."""


@dataclass(frozen=True, eq=False)
class DatasetIndex:
    """What a split may depend on: labels and names of N items, never their content.

    labels: N x levels, int64; level 0 is the one that is retrieved by default.
    class_names: one tuple a level; the name of label ``k`` of level ``l`` is ``class_names[l][k]``.
    item_names: one unique name an item.
    roles: the published role of each item (``train``, ``query``, ``gallery``, ...), where there is one.
    class_features: one row of features for each class of level 0, where there are some.

    Raises ValueError if the parts do not fit together.
    """

    labels: NDArray[np.int64]
    class_names: tuple[tuple[str, ...], ...]
    item_names: tuple[str, ...]
    roles: tuple[str | None, ...] | None = None
    class_features: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        _set(self, "labels", _read_only(self.labels, np.int64))
        _set(self, "class_names", tuple(tuple(level) for level in self.class_names))
        _set(self, "item_names", tuple(self.item_names))
        if self.roles is not None:
            _set(self, "roles", tuple(self.roles))
        if self.class_features is not None:
            _set(self, "class_features", _read_only(self.class_features, np.float64))
        self._check()

    def _check(self) -> None:
        if self.labels.ndim != 2 or self.labels.shape[1] == 0:
            raise ValueError(f"labels must be items x levels, not of shape {self.labels.shape}")
        if len(self.class_names) != self.labels.shape[1]:
            raise ValueError(f"{self.labels.shape[1]} label levels but {len(self.class_names)} tuples of class names")
        if len(self.item_names) != len(self.labels):
            raise ValueError(f"{len(self.labels)} rows of labels but {len(self.item_names)} item names")
        if len(set(self.item_names)) != len(self.item_names):
            raise ValueError("item names must be unique")
        if self.roles is not None and len(self.roles) != len(self.labels):
            raise ValueError(f"{len(self.labels)} items but {len(self.roles)} roles")
        if self.class_features is not None and len(self.class_features) != len(self.class_names[0]):
            raise ValueError(
                f"{len(self.class_names[0])} classes but {len(self.class_features)} rows of class features"
            )
        for level, names in enumerate(self.class_names):
            column = self.labels[:, level]
            if len(column) and (column.min() < 0 or column.max() >= len(names)):
                raise ValueError(f"labels of level {level} must lie in 0 .. {len(names) - 1}")

    def __len__(self) -> int:
        return len(self.item_names)

    def checksum(self) -> str:
        """The SHA-256 of everything in the index."""
        digest = hashlib.sha256()
        _digest_array(digest, self.labels)
        _digest_json(digest, [self.class_names, self.item_names, self.roles])
        if self.class_features is not None:
            _digest_array(digest, self.class_features)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TestSet:
    """Who is looked up (``query``) and among whom (``reference``; None: the queries among themselves).

    episodes: few-shot episodes, where the test consists of them.
    draws: several pairs of queries and references, in place of ``query`` (all of their items) and ``reference``; the
    values are averaged over them.
    apart_level: a query is not looked up among references that share both its class and its label of this level
    (re-identification: the same person seen by the same camera).
    """

    __test__ = False

    query: Indices
    reference: Indices | None = None
    episodes: tuple[Episode, ...] | None = None
    draws: tuple[Draw, ...] | None = None
    apart_level: int | None = None

    def __post_init__(self) -> None:
        _set(self, "query", _read_only(self.query, np.int64))
        if self.reference is not None:
            _set(self, "reference", _read_only(self.reference, np.int64))
        for name in ("episodes", "draws"):
            if (pairs := getattr(self, name)) is not None:
                _set(self, name, tuple((_read_only(a, np.int64), _read_only(b, np.int64)) for a, b in pairs))

    def items(self) -> Indices:
        """Every item the test touches, sorted, each once."""
        parts = [self.query, *([self.reference] if self.reference is not None else [])]
        parts += [part for pair in (*(self.episodes or ()), *(self.draws or ())) for part in pair]
        return np.unique(np.concatenate(parts))

    def checksum(self) -> str:
        """The SHA-256 of the test set's arrays."""
        digest = hashlib.sha256()
        _digest_array(digest, self.query)
        _digest_json(digest, [self.reference is not None, len(self.episodes or ())])
        if self.reference is not None:
            _digest_array(digest, self.reference)
        for part in (part for pair in (*(self.episodes or ()), *(self.draws or ())) for part in pair):
            _digest_array(digest, part)
        if self.draws is not None or self.apart_level is not None:
            _digest_json(digest, [len(self.draws or ()), self.apart_level])
        return digest.hexdigest()

    def verify(self, name: str, index: DatasetIndex) -> None:
        """Raise ValueError unless the parts of every pair are there and share no item, and the level exists."""
        for what, pairs in (("episode", self.episodes), ("draw", self.draws)):
            for number, pair in enumerate(pairs or ()):
                if any(len(part) == 0 for part in pair):
                    raise ValueError(f"test set {name}: {what} {number} has an empty part")
                if len(np.unique(np.concatenate(pair))) != len(pair[0]) + len(pair[1]):
                    raise ValueError(f"test set {name}: {what} {number} has an item twice")
        if self.draws is not None and self.reference is not None:
            raise ValueError(f"test set {name} has both draws and a reference")
        if self.apart_level is not None and not 0 <= self.apart_level < index.labels.shape[1]:
            raise ValueError(f"test set {name}: the dataset has no label level {self.apart_level}")


@dataclass(frozen=True, eq=False)
class Fold:
    """One cross-validation partition: item numbers to train on, to validate on, and the test sets by name."""

    name: str
    train: Indices
    val: Indices
    tests: Mapping[str, TestSet]

    def __post_init__(self) -> None:
        _set(self, "train", _read_only(self.train, np.int64))
        _set(self, "val", _read_only(self.val, np.int64))
        _set(self, "tests", MappingProxyType(dict(self.tests)))

    def checksum(self) -> str:
        """The SHA-256 of who is in which part; the fold's own name is not in it."""
        digest = hashlib.sha256()
        _digest_array(digest, self.train)
        _digest_array(digest, self.val)
        for name in sorted(self.tests):
            _digest_json(digest, [name, self.tests[name].checksum()])
        return digest.hexdigest()

    def verify(self, index: DatasetIndex, *, class_disjoint_level: int | None = None) -> None:
        """Raise ValueError unless train, val and tests exist in ``index``, are not empty and share no item.

        With ``class_disjoint_level`` they must not share a class of that label level either.
        """
        parts = {"train": self.train, "val": self.val}
        parts |= {f"test set {name}": test.items() for name, test in self.tests.items()}
        for part, items in parts.items():
            if len(items) == 0:
                raise ValueError(f"{self.name}: {part} is empty")
            if items.min() < 0 or items.max() >= len(index):
                raise ValueError(f"{self.name}: {part} has items outside of the dataset")
            if len(np.unique(items)) != len(items):
                raise ValueError(f"{self.name}: {part} has an item twice")
        for name, test in self.tests.items():
            test.verify(name, index)
        tests = np.unique(np.concatenate([test.items() for test in self.tests.values()] or [np.empty(0, np.int64)]))
        _require_disjoint(self.name, "items", {"train": self.train, "val": self.val, "tests": tests})
        if class_disjoint_level is not None:
            labels = index.labels[:, class_disjoint_level]
            classes = {"train": labels[self.train], "val": labels[self.val], "tests": labels[tests]}
            _require_disjoint(self.name, "classes", classes)


class SplitManager(Protocol):
    """Cuts a dataset into folds. Settings that cannot work raise ValueError with a text for the user."""

    @property
    def scheme(self) -> str:
        """The stem of the folds' names, e.g. ``Test50_50_Partitions4``."""

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The folds, verified, named ``<scheme>_0``, ``<scheme>_1``, ..."""


def _require_disjoint(fold: str, what: str, parts: Mapping[str, NDArray[np.int64]]) -> None:
    names = list(parts)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            shared = np.intersect1d(parts[first], parts[second])
            if len(shared):
                raise ValueError(f"{fold}: {first} and {second} share {len(shared)} {what}, first {shared[0]}")


def _set(value: object, name: str, content: object) -> None:
    object.__setattr__(value, name, content)


def _read_only(values: ArrayLike, dtype: type) -> NDArray[Any]:
    given = np.asarray(values)
    if given.size and np.issubdtype(dtype, np.integer) and not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"expected whole numbers, not {given.dtype}")
    array: NDArray[Any] = np.array(given, dtype=dtype)
    array.setflags(write=False)
    return array


def _digest_array(digest: hashlib._Hash, array: NDArray[Any]) -> None:
    _digest_json(digest, [array.dtype.kind, array.shape])
    digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())


def _digest_json(digest: hashlib._Hash, values: Iterable[object]) -> None:
    digest.update(json.dumps(values, ensure_ascii=True).encode() + b"\n")
