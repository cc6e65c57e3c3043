"""One cut into training and validation part, by a fraction of the classes or of the samples of each class."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np

from split_managers.class_cut import check_share, is_int, items_of, level_of, require
from split_managers.contract import DatasetIndex, Indices


@dataclass(frozen=True)
class TrainValCut:
    """Settings of the cut, checked; ValueError for those that cannot work.

    fraction: of n classes (or samples of a class) the first ``int(n * fraction)`` train, the others validate.
    by_samples: cut the samples of every class instead of the classes; those to train on are evenly spaced.
    within_level: cut the classes of each super-class of this label level, instead of all at once.
    shuffle, random_seed: permute the classes, or the samples, first.

    Source: Revisiting DML's ``--use_tv_split``, ``--tv_split_perc`` and ``--tv_split_by_samples``.
    """

    fraction: float = 0.8
    by_samples: bool = False
    within_level: int | None = None
    hierarchy_level: int = 0
    shuffle: bool = False
    random_seed: int = 0

    def __post_init__(self) -> None:
        check_share(self.fraction, "tv_split_perc")
        require(is_int(self.hierarchy_level), "hierarchy_level", "a whole number", self.hierarchy_level)
        for name in ("by_samples", "shuffle"):
            require(isinstance(getattr(self, name), bool), name, "True or False", getattr(self, name))
        require(is_int(self.random_seed) and self.random_seed >= 0, "random_seed", "0 or more", self.random_seed)
        level = self.within_level
        require(level is None or (is_int(level) and not self.by_samples), "within_level", "a level of classes", level)

    @property
    def name(self) -> str:
        """E.g. ``TrainVal80``, ``TrainVal80_by_samples``."""
        return f"TrainVal{round(100 * self.fraction):02d}{'_by_samples' if self.by_samples else ''}"

    def cut(self, index: DatasetIndex, items: Indices) -> tuple[Indices, Indices]:
        """The items to train on and those to validate on; ValueError if one of them would be empty."""
        if not len(items):
            raise ValueError("nothing is left beside the test set: training and validation would be empty")
        labels = level_of(index, self.hierarchy_level)[items]
        if self.by_samples:
            train = self._of_samples(items, labels)
        elif self.within_level is None:
            train = items[items_of(labels, self._of_classes(np.unique(labels)))]
        else:
            above = level_of(index, self.within_level)[items]
            groups = [np.unique(labels[above == group]) for group in np.unique(above)]
            train = items[items_of(labels, np.concatenate([self._of_classes(group) for group in groups]))]
        val = np.setdiff1d(items, train)
        if not len(train) or not len(val):
            raise ValueError(f"tv_split_perc {self.fraction} of {len(np.unique(labels))} classes leaves a part empty")
        return np.sort(train), val

    def _of_classes(self, classes: Indices) -> Indices:
        if self.shuffle:
            classes = np.random.default_rng(self.random_seed).permutation(classes)
        return classes[: self._share(len(classes))]

    def _of_samples(self, items: Indices, labels: Indices) -> Indices:
        generator = np.random.default_rng(self.random_seed)
        chosen = []
        for label in np.unique(labels):
            own = items[labels == label]
            count = max(1, self._share(len(own)))
            spaced = np.linspace(0, len(own) - 1, count).astype(np.int64)
            chosen.append(generator.permutation(own)[:count] if self.shuffle else own[spaced])
        return np.concatenate(chosen)

    def _share(self, count: int) -> int:
        return floor(round(self.fraction * count, 9))
