"""The parts of a fold by name, and measuring one of them. Only here are a fold's test sets opened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError, nearest
from powerbench.evaluation.clustering import KMeans
from powerbench.evaluation.embedding import measurable
from powerbench.evaluation.measuring import measure
from powerbench.evaluation.model import choose_device
from powerbench.evaluation.names import canonical_metric
from powerbench.evaluation.ranking.backends import Backend
from split_managers.contract import DatasetIndex, Fold

TRAIN, VAL = "train", "val"
Items = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Items that are looked up (``query``) among themselves, or in ``reference``; ``shared``: equal in all folds.

    draws, apart_level: as in :class:`split_managers.TestSet`.
    """

    name: str
    query: Items
    reference: Items | None = None
    shared: bool = False
    draws: tuple[tuple[Items, Items], ...] | None = None
    apart_level: int | None = None

    @property
    def items(self) -> Items:
        """What has to be embedded: queries, then references."""
        if self.draws is not None:
            return np.unique(np.concatenate([part for draw in self.draws for part in draw]))
        return self.query if self.reference is None else np.concatenate([self.query, self.reference])

    def rows(self) -> list[tuple[Items, Items | None]]:
        """For each draw the rows of its queries and of its references (None: the queries themselves) in ``items``."""
        if self.draws is not None:
            items = self.items
            return [(np.searchsorted(items, query), np.searchsorted(items, found)) for query, found in self.draws]
        own = np.arange(len(self.query))
        return [(own, None if self.reference is None else len(own) + np.arange(len(self.reference)))]


def train_or_val(fold: Fold, name: str) -> Split:
    """A part that a model may be chosen on; there is no way to a test set from here."""
    return Split(name, {TRAIN: fold.train, VAL: fold.val}[name])


def split_of(fold: Fold, name: str) -> Split:
    """``train``, ``val``, or one of the fold's test sets. Raises UserError for another name."""
    if name in (TRAIN, VAL):
        return train_or_val(fold, name)
    if name not in fold.tests:
        names = [TRAIN, VAL, *fold.tests]
        what = f"there is no split {name!r}; the splits of {fold.name} are {', '.join(names)}."
        raise UserError(what, where="splits_to_eval", near=nearest(name, names))
    test = fold.tests[name]
    return Split(name, test.query, test.reference, shared=True, draws=test.draws, apart_level=test.apart_level)


def metrics_of(config: ExperimentConfig) -> tuple[str, ...]:
    """What is measured: the primary metric first, then ``evaluation_metrics``; canonical names, each once."""
    names = (config.hook_container.primary_metric, *config.evaluation_metrics)
    return tuple(dict.fromkeys(canonical_metric(name) for name in names))


def backend_of(config: ExperimentConfig) -> Backend:
    """What counts ranks: with ``auto``, torch on a GPU and compiled loops without one. All give the same values."""
    device = choose_device(config)
    wanted = config.ranking_backend
    if wanted == "auto":
        wanted = "torch" if device.type == "cuda" else "cpu"
    return Backend(wanted, str(device))


def measure_split(
    config: ExperimentConfig, index: DatasetIndex, split: Split, embeddings: Tensor, *, pca: int | None
) -> dict[str, float]:
    """The config's metrics of ``embeddings``, one row for each of ``split.items``; means over the split's draws.

    Raises NotFinite if they cannot be compared.
    """
    metrics = metrics_of(config)
    array = measurable(embeddings, config.tester, pca=pca)
    labels = index.labels[split.items, config.tester.label_hierarchy_level]
    apart = None if split.apart_level is None else index.labels[split.items, split.apart_level]

    def rows(values: NDArray[Any] | None, some: Items | None) -> NDArray[Any] | None:
        return None if values is None or some is None else values[some]

    def measured(query: Items, reference: Items | None) -> dict[str, float]:
        return measure(
            array[query],
            labels[query],
            metrics,
            reference=rows(array, reference),
            reference_labels=rows(labels, reference),
            apart=rows(apart, query),
            reference_apart=rows(apart, reference),
            ties=config.ties,
            kmeans=KMeans(**config.clustering.model_dump()),
            threads=config.threads_per_run,
            backend=backend_of(config),
        )

    draws = [measured(query, reference) for query, reference in split.rows()]
    return {name: math.fsum(values[name] for values in draws) / len(draws) for name in draws[0]}
