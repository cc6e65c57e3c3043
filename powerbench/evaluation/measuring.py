"""The one function through which everything in powerbench measures embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from powerbench.evaluation.given import checked_classes, checked_embeddings
from powerbench.evaluation.names import Metric, parsed
from powerbench.evaluation.ranking.near import Lookup, Ties
from powerbench.evaluation.ranking.points import Distance, Floats
from powerbench.evaluation.ranking.ranks import lookup_of, rank_relevant
from powerbench.evaluation.retrieval import limits_of, values_of


def measure(
    embeddings: Any,
    labels: Any,
    metrics: Iterable[str],
    *,
    reference: Any = None,
    reference_labels: Any = None,
    distance: Distance = "euclidean",
    ties: Ties = "pessimistic",
    threads: int | None = None,
) -> dict[str, float]:
    """Metrics by their canonical names; docs/metrics.md defines each of them and names its source.

    embeddings: N x D, NumPy array or torch tensor; labels: N whole numbers or texts. Each query
    is looked up among the other N - 1 items (it is left out by its index, not by its distance),
    or in ``reference`` (M x D, with ``reference_labels``) if one is given. Values are means over the
    queries that have a relevant item; if none has, NaN, with a warning.

    distance: ``euclidean``, on the embeddings as given, or ``cosine``; metrics whose names begin
    with ``c_`` are measured with cosine distance in either case.
    ties: where relevant and irrelevant items are equally close, ``pessimistic`` ranks the
    irrelevant ones first, so that collapsed embeddings gain nothing; ``optimistic`` ranks the
    relevant ones first; ``expected`` is the mean over all orders of the tied items.
    threads: None for as many as NumPy's BLAS uses. Results do not depend on it.

    Raises ValueError for NaN or infinite embeddings or wrong shapes, UserError for an unknown metric.
    """
    asked = list(dict.fromkeys(parsed(name) for name in metrics))
    if ties not in ("pessimistic", "optimistic", "expected"):
        raise ValueError(f"ties must be pessimistic, optimistic or expected, not {ties!r}")
    if distance not in ("euclidean", "cosine"):
        raise ValueError(f"distance must be euclidean or cosine, not {distance!r}")
    queries = checked_embeddings(embeddings, "embeddings")
    if (reference is None) != (reference_labels is None):
        raise ValueError("reference and reference_labels go together")
    gallery = None if reference is None else checked_embeddings(reference, "reference")
    if gallery is not None and gallery.shape[1] != queries.shape[1]:
        raise ValueError(f"embeddings have {queries.shape[1]} dimensions, the reference has {gallery.shape[1]}")
    own, other = checked_classes(labels, len(queries), reference_labels, None if gallery is None else len(gallery))
    found: dict[Metric, float] = {}
    for metric_distance in ("euclidean", "cosine"):
        some = [m for m in asked if m.family == "retrieval" and _distance(m, distance) == metric_distance]
        if some:
            lookup = lookup_of(queries, own, gallery, other, distance=metric_distance, ties=ties)
            found |= zip(some, _retrieval(lookup, some, threads), strict=True)
    return {metric.name: found[metric] for metric in asked}


def _distance(metric: Metric, distance: Distance) -> Distance:
    return "cosine" if metric.cosine else distance


def _retrieval(lookup: Lookup, metrics: Sequence[Metric], threads: int | None) -> list[float]:
    """Means over all queries that have a relevant item; of ``class_recall``, means over their classes' means."""
    classes = int(lookup.queries.classes.max(initial=-1)) + 1
    sums, counts = np.zeros((len(metrics), classes)), np.zeros(classes)
    for ranks in rank_relevant(lookup, limits_of(metrics), threads):
        of_query = lookup.queries.classes[ranks.queries]
        counts += np.bincount(of_query, ranks.copies, classes)
        for row, metric in enumerate(metrics):
            sums[row] += np.bincount(of_query, values_of(metric, ranks, lookup.ties) * ranks.copies, classes)
    if not counts.any():
        warnings.warn("no query has a relevant item: nothing can be measured", stacklevel=3)
        return [float("nan")] * len(metrics)
    return [_mean(metric, some, counts) for metric, some in zip(metrics, sums, strict=True)]


def _mean(metric: Metric, sums: Floats, counts: Floats) -> float:
    """From the sum of a metric over the queries of each class."""
    if metric.base == "class_recall_at":
        return float((sums[counts > 0] / counts[counts > 0]).mean())
    return float(sums.sum() / counts.sum())
