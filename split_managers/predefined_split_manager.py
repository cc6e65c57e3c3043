"""The partition that a dataset was published with, or that files give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from split_managers.class_cut import check_partitions, is_int, items_of, require
from split_managers.class_disjoint_split_manager import block_partition
from split_managers.contract import DatasetIndex, Draw, Fold, Indices, TestSet
from split_managers.train_val_cut import TrainValCut
from split_managers.verification import verify_folds

TRAIN, VAL, TEST, QUERY, GALLERY = ROLES = ("train", "val", "test", "query", "gallery")
ALL, ONE_REFERENCE = TEST_PROTOCOLS = ("all", "one_reference_per_class")


class PredefinedSplitManager:
    """Training, validation and test parts by the items' published roles; items without a role are left out.

    files: ``{role: path}`` in place of the published roles. A file holds one name a line, of items or of classes.
    Roles are train, val, test, query and gallery; query and gallery are looked up against each other.

    The validation part, unless it has a role: ``num_training_partitions`` class-disjoint blocks of the training
    classes, one fold each for the first ``num_training_sets`` (ClassDisjointSplitManager's cut), or, with
    ``use_tv_split``, one fold whose training part is the fraction ``tv_split_perc`` of the classes (of the samples of
    each class: ``tv_split_by_samples``).

    test_protocol: how items of the role ``test`` are looked up: ``all`` of them among all others (Divide and Conquer,
    BIER), or ``one_reference_per_class``: one random item of each class is the gallery and the others are queries,
    drawn ``repetitions`` times from ``random_seed`` and averaged (re-identification). Their values are not comparable.
    other_camera_level: leave out references that share the query's class and its label of this level (Market-1501).
    """

    def __init__(
        self,
        files: Mapping[str, str] | None = None,
        test_protocol: str = ALL,
        repetitions: int = 10,
        other_camera_level: int | None = None,
        num_training_partitions: int = 4,
        num_training_sets: int = 4,
        use_tv_split: bool = False,
        tv_split_perc: float = 0.8,
        tv_split_by_samples: bool = False,
        hierarchy_level: int = 0,
        random_seed: int = 0,
    ) -> None:
        for role in files or {}:
            require(role in ROLES, "a role in files", ", ".join(ROLES), role)
        require(test_protocol in TEST_PROTOCOLS, "test_protocol", " or ".join(TEST_PROTOCOLS), test_protocol)
        require(is_int(repetitions) and repetitions >= 1, "repetitions", "1 or more", repetitions)
        camera = other_camera_level
        require(camera is None or is_int(camera), "other_camera_level", "a label level", camera)
        self._files = {role: Path(path).expanduser() for role, path in (files or {}).items()}
        self._protocol, self._repetitions, self._camera = test_protocol, repetitions, camera
        self._cut = TrainValCut(
            tv_split_perc, tv_split_by_samples, hierarchy_level=hierarchy_level, random_seed=random_seed
        )
        self._use_tv_split, self._seed = use_tv_split, random_seed
        self._blocks = (num_training_partitions, num_training_sets)
        check_partitions(*self._blocks)

    @property
    def scheme(self) -> str:
        """The stem of the folds' names, ``PredefinedSplitScheme``, with the test protocol if it is not ``all``."""
        return "PredefinedSplitScheme" + ("" if self._protocol == ALL else f"_{self._protocol}")

    @property
    def fold_count(self) -> int:
        """How many folds there will be, unless a validation part is given (one then)."""
        return 1 if self._use_tv_split else self._blocks[1]

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The folds; ValueError if there are no roles, or those that are needed are missing."""
        parts = self._parts(index)
        for role in (TRAIN, TEST if QUERY not in parts else GALLERY):
            if role not in parts:
                raise ValueError(f"no item has the role {role!r} (there are: {', '.join(parts) or 'none'})")
        if TEST in parts and QUERY in parts:
            raise ValueError("some items have the role 'test' and some 'query': give either")
        cuts = self._train_and_val(index, parts)
        tests = {"test": self._test_set(index, parts)}
        folds = [Fold(f"{self.scheme}_{number}", train, val, tests) for number, (train, val) in enumerate(cuts)]
        verify_folds(folds, index, val_disjoint=True)
        return folds

    def _parts(self, index: DatasetIndex) -> dict[str, Indices]:
        if self._files:
            return {role: named_items(index, read_names(path), str(path)) for role, path in self._files.items()}
        if index.roles is None:
            raise ValueError("the dataset has no published partition; give one: files: {train: ..., test: ...}")
        roles = np.array([role or "" for role in index.roles])
        return {role: np.flatnonzero(roles == role) for role in ROLES if (roles == role).any()}

    def _train_and_val(self, index: DatasetIndex, parts: Mapping[str, Indices]) -> list[tuple[Indices, Indices]]:
        if VAL in parts:
            return [(parts[TRAIN], parts[VAL])]
        if self._use_tv_split:
            return [self._cut.cut(index, parts[TRAIN])]
        items = parts[TRAIN]
        labels = index.labels[items, self._cut.hierarchy_level]
        classes, (partitions, sets) = np.unique(labels), self._blocks
        if len(classes) < partitions:
            raise ValueError(f"{len(classes)} training classes are too few for {partitions} partitions")
        cuts = [block_partition(classes, partitions, number) for number in range(sets)]
        return [(items[items_of(labels, train)], items[items_of(labels, val)]) for train, val in cuts]

    def _test_set(self, index: DatasetIndex, parts: Mapping[str, Indices]) -> TestSet:
        if QUERY in parts:
            return TestSet(parts[QUERY], parts[GALLERY], apart_level=self._camera)
        items = parts[TEST]
        if self._protocol == ALL:
            return TestSet(items, apart_level=self._camera)
        labels = index.labels[items, self._cut.hierarchy_level]
        draws = tuple(one_reference_per_class(items, labels, self._seed, n) for n in range(self._repetitions))
        return TestSet(items, draws=draws, apart_level=self._camera)


def one_reference_per_class(items: Indices, labels: Indices, seed: int, repetition: int) -> Draw:
    """The queries and the references of one repetition: of each class one random item is the reference."""
    drawn = np.random.default_rng([seed, repetition]).permutation(len(items))
    first = drawn[np.unique(labels[drawn], return_index=True)[1]]
    reference = np.sort(items[first])
    query = np.setdiff1d(items, reference)
    if not len(query):
        raise ValueError("no test class has two items: there would be no query")
    return query, reference


def read_names(path: Path) -> list[str]:
    """The lines of a text file that are not empty; ValueError if it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def named_items(index: DatasetIndex, names: Sequence[str], source: str) -> Indices:
    """The items of these names, or of the classes of these names; ValueError for a name that is neither's."""
    number = {name: item for item, name in enumerate(index.item_names)}
    if all(name in number for name in names):
        return np.unique(np.array([number[name] for name in names], dtype=np.int64))
    label = {name: value for value, name in enumerate(index.class_names[0])}
    if all(name in label for name in names):
        return items_of(index.labels[:, 0], np.array([label[name] for name in names], dtype=np.int64))
    kind, known = max((("item", number), ("class", label)), key=lambda pair: sum(name in pair[1] for name in names))
    unknown = next(name for name in names if name not in known)
    raise ValueError(f"{source}: the dataset has no {kind} named {unknown!r}")
