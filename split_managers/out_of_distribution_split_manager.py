"""One split of a progression of growing distribution shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from split_managers.class_cut import is_int, is_number, items_of, require
from split_managers.contract import DatasetIndex, Episode, Fold, Indices, TestSet
from split_managers.making_progressions import draw_support
from split_managers.progression import ClassName, HardnessSplit, Support, read_progression
from split_managers.verification import verify_folds


class OutOfDistributionSplitManager:
    """A single fold: split ``data_hardness`` of a progression, with its own validation classes and few-shot episodes.

    file: a progression, made by ``powerbench progression`` (JSON) or published by ooDML
    (``datasplits/<dataset>_splits.pkl``, which is read without running anything in it).
    data_hardness: the public id of the split, from 1 on.
    tv_split_perc: above 0, the first ``int(n * tv_split_perc)`` training classes train and the others validate, in
    place of the file's own validation classes.
    shots: the test set carries the file's episodes with so many support items a class; null: no episodes.
    redraw_episodes: draw the episodes anew from ``random_seed``, where the file's name images that this copy of the
    dataset does not have (the published names of Cars196 exist in its class folders only).

    The fold is named by the id and the distance between training and test, e.g. ``OutOfDistribution3_FID32.18_0``.

    Source: Milbich, Roth et al., NeurIPS 2021 (ooDML).
    """

    def __init__(
        self,
        file: str | None = None,
        data_hardness: int = 1,
        tv_split_perc: float = 0.0,
        shots: int | None = None,
        redraw_episodes: bool = False,
        random_seed: int = 0,
    ) -> None:
        require(is_int(data_hardness), "data_hardness", "the id of a split", data_hardness)
        fraction = is_number(tv_split_perc) and 0 <= tv_split_perc < 1
        require(fraction, "tv_split_perc", "at least 0 and below 1", tv_split_perc)
        require(shots is None or (is_int(shots) and shots > 0), "shots", "1 or more, or null", shots)
        require(isinstance(redraw_episodes, bool), "redraw_episodes", "True or False", redraw_episodes)
        require(is_int(random_seed) and random_seed >= 0, "random_seed", "0 or more", random_seed)
        self._file, self._id, self._fraction = file, data_hardness, tv_split_perc
        self._shots, self._redraw, self._seed = shots, redraw_episodes, random_seed

    @property
    def scheme(self) -> str:
        """The stem of the fold's name; the file is read."""
        return f"OutOfDistribution{self._id}_FID{self._split.fid:.2f}" + ("_redrawn" if self._redraw else "")

    @property
    def fold_count(self) -> int:
        """One."""
        return 1

    def folds(self, index: DatasetIndex) -> list[Fold]:
        """The fold; ValueError if the file does not fit the dataset."""
        labels = _ClassLabels(index)
        train, val = self._train_and_val()
        parts = {
            name: labels.items(classes)
            for name, classes in (("train", train), ("val", val), ("test", self._split.test))
        }
        test = TestSet(parts["test"], episodes=self._episodes(index, labels, parts["test"]))
        folds = [Fold(f"{self.scheme}_0", parts["train"], parts["val"], {"test": test})]
        verify_folds(folds, index, class_disjoint_level=0)
        return folds

    @cached_property
    def _split(self) -> HardnessSplit:
        if not self._file:
            raise ValueError("it needs the file of a progression: {file: path/to/splits.json, data_hardness: 1}")
        splits = read_progression(Path(self._file).expanduser()).splits
        if self._id not in splits:
            raise ValueError(f"{self._file} has no split {self._id}; it has {', '.join(map(str, splits))}")
        return splits[self._id]

    def _train_and_val(self) -> tuple[Sequence[ClassName], Sequence[ClassName]]:
        if not self._fraction:
            return self._split.split_train, self._split.split_val
        count = int(round(len(self._split.train) * self._fraction, 9))
        return self._split.train[:count], self._split.train[count:]

    def _episodes(self, index: DatasetIndex, labels: _ClassLabels, test: Indices) -> tuple[Episode, ...] | None:
        if self._shots is None:
            return None
        supports = self._split.episodes.get(self._shots)
        if supports is None:
            there = ", ".join(map(str, self._split.episodes)) or "none"
            raise ValueError(f"split {self._id} has no episodes with {self._shots} shots; there are {there}")
        if self._redraw:
            seeds = [[self._seed, self._id, self._shots, number] for number in range(len(supports))]
            supports = tuple(draw_support(index, test, self._shots, seed) for seed in seeds)
        found = [labels.support(support) for support in supports]
        missing = sum(count for _, count in found)
        if missing:
            raise ValueError(
                f"{missing} support images of split {self._id} do not exist, or not once, in this copy of the dataset; "
                "redraw_episodes: True draws others"
            )
        return tuple((support, np.setdiff1d(test, support)) for support, _ in found)


class _ClassLabels:
    """Finds the classes and items of a dataset that a progression names."""

    def __init__(self, index: DatasetIndex) -> None:
        self._index = index
        self._label = {_plain(name): label for label, name in enumerate(index.class_names[0])}
        self._by_name: dict[tuple[int, str], list[int]] = {}
        for item, (label, name) in enumerate(zip(index.labels[:, 0].tolist(), index.item_names, strict=True)):
            for key in {name, PurePosixPath(name).name}:
                self._by_name.setdefault((label, key), []).append(item)

    def labels(self, classes: Sequence[ClassName]) -> NDArray[np.int64]:
        """The labels of classes given by name, or by number from 1 on; ValueError for unknown ones."""
        count = len(self._index.class_names[0])
        found = [
            (name - 1 if 1 <= name <= count else None) if isinstance(name, int) else self._label.get(_plain(name))
            for name in classes
        ]
        unknown = [name for name, label in zip(classes, found, strict=True) if label is None]
        if unknown:
            raise ValueError(f"{len(unknown)} of {len(classes)} classes are not in the dataset, first {unknown[0]!r}")
        return np.array(found, dtype=np.int64)

    def items(self, classes: Sequence[ClassName]) -> Indices:
        """The items of classes."""
        return items_of(self._index.labels[:, 0], self.labels(classes))

    def support(self, support: Support) -> tuple[Indices, int]:
        """The items of a support, and how many of its names stand for no item, or for several."""
        if not isinstance(support, Mapping):
            return self.items(support), 0
        labels = self.labels(list(support)).tolist()
        named = [(label, name) for label, names in zip(labels, support.values(), strict=True) for name in names]
        found = [self._by_name.get(key, []) for key in named]
        single = [items[0] for items in found if len(items) == 1]
        return np.unique(np.array(single, dtype=np.int64)), len(found) - len(single)


def _plain(name: str) -> str:
    """A class name as a folder can have it: ``Ram C/V Cargo Van`` is ``Ram C-V Cargo Van`` there."""
    return name.replace("/", "-")
