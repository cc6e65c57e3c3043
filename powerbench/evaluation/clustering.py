"""How well k-means clusters agree with the classes: NMI, AMI and pair-counting F1. Defined in docs/metrics.md."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache

import numpy as np

from powerbench.evaluation.ranking.points import Distance, Embeddings, unit_of
from powerbench.evaluation.ranking.structures import Floats, Integers

log = logging.getLogger(__name__)

OPERATIONS_A_SECOND = 8e10
"""Of one core in float32 products, about."""

LONG = 60.0
"""Seconds of k-means that are worth a word."""

LARGEST_SEED = 2**31 - 1
"""That faiss takes."""


@dataclass(frozen=True)
class KMeans:
    """faiss's Lloyd k-means on all items, without subsampling.

    clusters: how many; None for the number of classes. iterations: of each start. restarts: starts of which the one
    with the least error counts (faiss's ``nredo``). runs: clusterings, seeded seed, seed + 1, ..., whose scores
    are averaged; their standard deviation is reported with the mean.
    """

    clusters: int | None = None
    iterations: int = 20
    restarts: int = 1
    runs: int = 5

    def seconds(self, items: int, width: int, clusters: int) -> float:
        """About how long all runs take on one core: each iteration compares every item with every centroid."""
        return self.runs * (self.restarts * self.iterations + 1) * 2.0 * items * width * clusters / OPERATIONS_A_SECOND


@cache
def announce(kmeans: KMeans, items: int, width: int, clusters: int) -> None:
    """Say, once a process, if clustering will take long."""
    seconds = kmeans.seconds(items, width, clusters)
    if seconds > LONG:
        log.warning(
            f"k-means of {items:,} items into {clusters:,} clusters, {kmeans.runs} x {kmeans.restarts} x "
            f"{kmeans.iterations} iterations: about {seconds / 60:.0f} minutes on one core, each time nmi, ami or f1 "
            "is measured. The config key clustering says how many: `runs: 1` is what most papers did, without spread."
        )


def cluster(
    embeddings: Embeddings, clusters: int, seed: int, kmeans: KMeans, distance: Distance, threads: int | None
) -> Integers:
    """The cluster of each item (N x D). With cosine distance, rows and centroids have length 1 (spherical k-means).

    Raises ValueError if there are more clusters than items.
    """
    import faiss

    count, width = embeddings.shape
    if not 1 <= clusters <= count:
        raise ValueError(f"{count} items cannot be put into {clusters} clusters")
    rows = of_length_one(embeddings) if distance == "cosine" else embeddings
    if (unit := unit_of(rows)) != 1:  # faiss ends the process where a square is infinite
        rows = np.multiply(rows, unit, dtype=np.float64)
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads or before)
    try:
        found = faiss.Kmeans(
            width, clusters, niter=kmeans.iterations, nredo=kmeans.restarts, seed=seed, verbose=False,
            spherical=distance == "cosine", min_points_per_centroid=1, max_points_per_centroid=count,
        )  # fmt: skip
        found.train(rows)
        assigned: Integers = found.index.search(rows, 1)[1][:, 0].astype(np.int64)
    finally:
        faiss.omp_set_num_threads(before)
    return assigned


def of_length_one(embeddings: Embeddings) -> Floats:
    """Each row divided by its length, in float64; rows of zeros stay."""
    rows = np.asarray(embeddings, dtype=np.float64)
    peaks = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    rows = rows / np.where(peaks == 0, 1, peaks)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths == 0, 1, lengths))


def scores(classes: Integers, clusters: Integers) -> dict[str, float]:
    """``nmi``, ``ami`` and ``f1`` of an assignment of items to clusters."""
    table = _Table.of(classes, clusters)
    return {"nmi": nmi(table), "ami": ami(table), "f1": pair_f1(table)}


@dataclass(frozen=True)
class _Table:
    """Items in each class, in each cluster, and in each pair of both that has some (with its class and cluster)."""

    classes: Floats
    clusters: Floats
    cells: Floats
    cell_class: Integers
    cell_cluster: Integers

    @staticmethod
    def of(classes: Integers, clusters: Integers) -> _Table:
        _, one, sizes = np.unique(classes, return_inverse=True, return_counts=True)
        _, other, cluster_sizes = np.unique(clusters, return_inverse=True, return_counts=True)
        pairs, cells = np.unique(one * len(cluster_sizes) + other, return_counts=True)
        cell_class, cell_cluster = np.divmod(pairs, len(cluster_sizes))
        return _Table(
            classes=sizes.astype(np.float64),
            clusters=cluster_sizes.astype(np.float64),
            cells=cells.astype(np.float64),
            cell_class=cell_class,
            cell_cluster=cell_cluster,
        )

    @property
    def items(self) -> float:
        return float(self.classes.sum())

    @property
    def mean_entropy(self) -> float:
        return (_entropy(self.classes) + _entropy(self.clusters)) / 2

    @property
    def mutual_information(self) -> float:
        outer = self.classes[self.cell_class] * self.clusters[self.cell_cluster]
        return max(0.0, float((self.cells / self.items * np.log(self.items * self.cells / outer)).sum()))


def _entropy(sizes: Floats) -> float:
    shares = sizes / sizes.sum()
    return max(0.0, float(-(shares * np.log(shares)).sum()))


def nmi(table: _Table) -> float:
    """Mutual information over the mean of the entropies; 1 if there is one class and one cluster."""
    return table.mutual_information / table.mean_entropy if table.mean_entropy > 0 else 1.0


def ami(table: _Table) -> float:
    """The same, less the mutual information expected by chance (Vinh et al. 2010), with the arithmetic mean."""
    trivial = {1, int(table.items)}
    if len(table.classes) == len(table.clusters) and len(table.classes) in trivial:
        return 1.0
    chance = expected_mutual_information(table.classes, table.clusters)
    possible = table.mean_entropy - chance
    return (table.mutual_information - chance) / possible if possible else 0.0


def expected_mutual_information(classes: Floats, clusters: Floats) -> float:
    """Over all ways of putting the items into classes and clusters of these sizes.

    The sum over the cells of a pair depends on the two sizes only: it is taken once for each distinct pair.
    """
    from scipy.special import gammaln

    items, total = classes.sum(), 0.0
    sizes, size_counts = np.unique(classes, return_counts=True)
    for cluster_size, cluster_count in zip(*np.unique(clusters, return_counts=True), strict=True):
        for size, count in zip(sizes, size_counts, strict=True):
            m = np.arange(max(1, size + cluster_size - items), min(size, cluster_size) + 1)
            fixed = (size, cluster_size, items - size, items - cluster_size)
            free = (m, size - m, cluster_size - m, items - size - cluster_size + m)
            log_probability = (
                sum(gammaln(n + 1) for n in fixed) - gammaln(items + 1) - sum(gammaln(n + 1) for n in free)
            )
            terms = m / items * np.log(items * m / (size * cluster_size)) * np.exp(log_probability)
            total += float(count * cluster_count * terms.sum())
    return total


def pair_f1(table: _Table) -> float:
    """F1 over pairs of items: in one cluster, and of one class (Song et al. 2017); NaN if there is no such pair."""
    both, in_class, in_cluster = (float((n * (n - 1) / 2).sum()) for n in (table.cells, table.classes, table.clusters))
    return 2 * both / (in_class + in_cluster) if in_class + in_cluster else float("nan")
