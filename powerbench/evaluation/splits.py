"""The parts of a fold by name, and measuring one of them. Only here are a fold's test sets opened."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class Split:
    """Items that are looked up (``query``) among themselves, or in ``reference``; ``shared``: equal in all folds."""

    name: str
    query: NDArray[np.int64]
    reference: NDArray[np.int64] | None = None
    shared: bool = False

    @property
    def items(self) -> NDArray[np.int64]:
        """Queries, then references."""
        return self.query if self.reference is None else np.concatenate([self.query, self.reference])


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
    return Split(name, test.query, test.reference, shared=True)


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
    """The config's metrics of ``embeddings``, one row for each of ``split.items``.

    Raises NotFinite if they cannot be compared.
    """
    array = measurable(embeddings, config.tester, pca=pca)
    labels = index.labels[:, config.tester.label_hierarchy_level]
    queries = len(split.query)
    return measure(
        array[:queries],
        labels[split.query],
        metrics_of(config),
        reference=None if split.reference is None else array[queries:],
        reference_labels=None if split.reference is None else labels[split.reference],
        ties=config.ties,
        kmeans=KMeans(**config.clustering.model_dump()),
        threads=config.threads_per_run,
        backend=backend_of(config),
    )
