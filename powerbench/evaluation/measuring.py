"""The one function through which everything in powerbench measures embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from powerbench.evaluation.clustering import LARGEST_SEED, KMeans, announce, cluster, scores
from powerbench.evaluation.given import Given, checked_threads
from powerbench.evaluation.names import SPREAD, Metric, parsed
from powerbench.evaluation.ranking.backends import ON_CPU, Backend
from powerbench.evaluation.ranking.near import Lookup, Ties
from powerbench.evaluation.ranking.points import Distance, Embeddings, Floats, Integers
from powerbench.evaluation.ranking.ranks import rank_relevant
from powerbench.evaluation.retrieval import limits_of, means_of, per_query
from powerbench.evaluation.space import space_values


def measure(
    embeddings: Any,
    labels: Any,
    metrics: Iterable[str],
    *,
    reference: Any = None,
    reference_labels: Any = None,
    apart: Any = None,
    reference_apart: Any = None,
    distance: Distance = "euclidean",
    ties: Ties = "pessimistic",
    clusters: int | None = None,
    seed: int = 0,
    kmeans: KMeans | None = None,
    threads: int | None = None,
    backend: Backend = ON_CPU,
) -> dict[str, float]:
    """Metrics by their canonical names; docs/metrics.md defines each of them and names its source.

    embeddings: N x D, NumPy array or torch tensor; labels: N whole numbers or texts. Each query
    is looked up among the other N - 1 items (it is left out by its index, not by its distance),
    or in ``reference`` (M x D, with ``reference_labels``) if one is given. Values are means over the
    queries that have a relevant item; if none has, NaN, with a warning.

    apart, reference_apart: a second label of each item; what agrees with a query in both labels is left out for it, as
    re-identification leaves out the same person seen by the same camera. Matters to retrieval metrics only.
    distance: ``euclidean``, on the embeddings as given, or ``cosine``; metrics whose names begin
    with ``c_`` are measured with cosine distance in either case.
    ties: where relevant and irrelevant items are equally close, ``pessimistic`` ranks the
    irrelevant ones first, so that collapsed embeddings gain nothing; ``optimistic`` ranks the
    relevant ones first; ``expected`` is the mean over all orders of the tied items.
    clusters, seed: of the clustering metrics, which look at the queries alone; None for as many clusters as
    classes. kmeans: how they are found. The spread over several runs, ``nmi_sd``, comes with ``nmi``, and so on.
    threads: None for as many as NumPy's BLAS uses. backend: what counts the ranks. The values of retrieval metrics
    depend on neither.

    Raises ValueError for NaN or infinite embeddings, wrong shapes or numbers out of range, UserError for an unknown
    metric.
    """
    asked = list(dict.fromkeys(parsed(name) for name in metrics))
    given = Given.checked(embeddings, labels, reference, reference_labels, distance, ties, apart, reference_apart)
    checked_threads(threads)
    settings = kmeans or KMeans()
    settings = replace(settings, clusters=settings.clusters if clusters is None else clusters)
    found: dict[Metric, float] = {}
    for some_distance in get_args(Distance):
        some = [metric for metric in asked if _distance(metric, distance) == some_distance]
        if ranked := [metric for metric in some if metric.family == "retrieval"]:
            lookup = given.lookup(some_distance, ties)
            found |= zip(ranked, _retrieval(lookup, ranked, threads, backend), strict=True)
        if clustered := [metric for metric in some if metric.family == "clustering"]:
            found |= _clustering(given.queries, given.classes, clustered, some_distance, settings, seed, threads)
    found |= space_values([metric for metric in asked if metric.family == "space"], given.queries, given.classes)
    shown = _with_spread(asked) if settings.runs > 1 else asked
    return {metric.name: found[metric] for metric in shown}


def measure_queries(
    embeddings: Any,
    labels: Any,
    metric: str,
    *,
    reference: Any = None,
    reference_labels: Any = None,
    apart: Any = None,
    reference_apart: Any = None,
    distance: Distance = "euclidean",
    ties: Ties = "pessimistic",
    threads: int | None = None,
    backend: Backend = ON_CPU,
) -> Floats:
    """A retrieval metric of each of N queries; NaN for those without a relevant item. Arguments as for ``measure``."""
    asked = parsed(metric)
    if asked.family != "retrieval":
        raise ValueError(f"{asked.name} has no value for single queries")
    given = Given.checked(embeddings, labels, reference, reference_labels, distance, ties, apart, reference_apart)
    checked_threads(threads)
    lookup = given.lookup(_distance(asked, distance), ties)
    return per_query(asked, rank_relevant(lookup, limits_of([asked]), threads, backend), lookup)


def _with_spread(metrics: Iterable[Metric]) -> list[Metric]:
    """Each clustering metric is followed by its spread."""
    spread = {
        metric: replace(metric, base=metric.base + SPREAD)
        for metric in metrics
        if metric.family == "clustering" and not metric.base.endswith(SPREAD)
    }
    return list(dict.fromkeys(part for metric in metrics for part in (metric, spread.get(metric, metric))))


def _clustering(
    embeddings: Embeddings,
    classes: Integers,
    metrics: Sequence[Metric],
    distance: Distance,
    kmeans: KMeans,
    seed: int,
    threads: int | None,
) -> dict[Metric, float]:
    """Mean and standard deviation over the runs (NaN for the deviation of a single one)."""
    if len(embeddings) == 0:
        return dict.fromkeys(_with_spread(metrics), float("nan"))
    number = len(np.unique(classes)) if kmeans.clusters is None else kmeans.clusters
    announce(kmeans, *embeddings.shape, number)
    seeds = range(seed, seed + kmeans.runs)
    if abs(seed) > LARGEST_SEED - kmeans.runs:
        raise ValueError(f"seed must be at most {LARGEST_SEED - kmeans.runs} from 0, not {seed}")
    runs = [scores(classes, cluster(embeddings, number, own, kmeans, distance, threads)) for own in seeds]
    found = {}
    for metric in _with_spread(metrics):
        values = [run[metric.base.removesuffix(SPREAD)] for run in runs]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        found[metric] = spread if metric.base.endswith(SPREAD) else float(np.mean(values))
    return found


def _distance(metric: Metric, distance: Distance) -> Distance:
    return "cosine" if metric.cosine else distance


def _retrieval(lookup: Lookup, metrics: Sequence[Metric], threads: int | None, backend: Backend) -> list[float]:
    found = means_of(metrics, rank_relevant(lookup, limits_of(metrics), threads, backend), lookup)
    if np.isnan(found).all():
        warnings.warn("no query has a relevant item: nothing can be measured", stacklevel=3)
    return found
