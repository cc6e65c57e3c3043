"""The one function through which everything in powerbench measures retrieval."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np

from powerbench.evaluation.names import canonical_metric, recall_k
from powerbench.evaluation.retrieval import Floats, Integers, Ranks, rank_relevant
from powerbench.evaluation.ties import expected_values

Ties = Literal["pessimistic", "optimistic", "expected"]


def measure(
    embeddings: Any,
    labels: Any,
    metrics: Iterable[str],
    *,
    reference: Any = None,
    reference_labels: Any = None,
    ties: Ties = "pessimistic",
) -> dict[str, float]:
    """Retrieval metrics by their canonical names, as means over the queries that can be answered.

    embeddings: N x D, NumPy array or torch tensor; labels: N whole numbers or texts. Each query
    is looked up among the other N - 1 items (it is left out by its index, not by its distance),
    or in ``reference`` (M x D, with ``reference_labels``) if one is given. Distances are
    Euclidean, on the embeddings as given. A query has R relevant items, those of its class;
    queries with R = 0 are left out. With rank_i the rank of the i-th closest relevant item:

    - ``map_at_r``: 1/R * sum of i / rank_i over all i with rank_i <= R (Musgrave et al. 2020)
    - ``r_precision``: the share of the R closest items that are relevant
    - ``precision_at_1``: the share of queries whose closest item is relevant
    - ``recall_at_<k>``: the share of queries with a relevant item among the k closest

    ties: where relevant and irrelevant items are equally close, ``pessimistic`` ranks the
    irrelevant ones first, so that collapsed embeddings gain nothing; ``optimistic`` ranks the
    relevant ones first; ``expected`` is the mean over all orders of the tied items.

    If no query can be answered every value is NaN, with a warning. Sums are float64; memory
    beside the embeddings does not grow with N * M. Raises ValueError for NaN or infinite
    embeddings or wrong shapes, UserError for an unknown metric.
    """
    names = list(dict.fromkeys(canonical_metric(name) for name in metrics))
    if ties not in ("pessimistic", "optimistic", "expected"):
        raise ValueError(f"ties must be pessimistic, optimistic or expected, not {ties!r}")
    queries = _checked(embeddings, "embeddings")
    gallery = None if reference is None else _checked(reference, "reference")
    if gallery is not None and gallery.shape[1] != queries.shape[1]:
        raise ValueError(f"embeddings have {queries.shape[1]} dimensions, the reference has {gallery.shape[1]}")
    classes, gallery_classes = _classes(labels, len(queries), reference_labels, gallery)
    look_ahead = max([1, *(recall_k(name) or 1 for name in names)])
    sums, count = np.zeros(len(names)), 0
    for ranks in rank_relevant(queries, classes, gallery, gallery_classes, look_ahead):
        sums += [_values(name, ranks, ties).sum() for name in names]
        count += len(ranks.relevant)
    if count == 0:
        warnings.warn("no query has a relevant item: nothing can be measured", stacklevel=2)
        return dict.fromkeys(names, float("nan"))
    return {name: float(total / count) for name, total in zip(names, sums, strict=True)}


def _values(metric: str, ranks: Ranks, ties: Ties) -> Floats:
    """The metric's value for each query."""
    values = _metric_of(metric)(ranks, ranks.order + (ranks.closer if ties == "optimistic" else ranks.as_close))
    if ties == "expected":
        for row in np.unique(ranks.rows[ranks.closer != ranks.as_close]):
            values[row] = expected_values(metric, ranks, row)
    return values


def _metric_of(metric: str) -> Callable[[Ranks, Integers], Floats]:
    if metric == "map_at_r":
        return _map_at_r
    if metric == "r_precision":
        return _r_precision
    k = recall_k(metric) or 1
    return lambda ranks, rank: (rank[ranks.order == 1] <= k).astype(np.float64)


def _map_at_r(ranks: Ranks, rank: Integers) -> Floats:
    counted = rank <= ranks.relevant[ranks.rows]
    return np.bincount(ranks.rows, np.where(counted, ranks.order / rank, 0.0)) / ranks.relevant


def _r_precision(ranks: Ranks, rank: Integers) -> Floats:
    return np.bincount(ranks.rows, rank <= ranks.relevant[ranks.rows]) / ranks.relevant


def _checked(embeddings: Any, name: str) -> Floats:
    if hasattr(embeddings, "detach"):
        embeddings = embeddings.detach().cpu().double().numpy()
    array = np.ascontiguousarray(embeddings, dtype=np.float64)
    if array.ndim != 2:
        raise ValueError(f"{name} must be items x dimensions, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold NaN or infinite values")
    return array


def _classes(labels: Any, count: int, reference_labels: Any, gallery: Floats | None) -> tuple[Integers, Integers]:
    """Dense class numbers of the queries and of the gallery."""
    if (gallery is None) != (reference_labels is None):
        raise ValueError("reference and reference_labels go together")
    own = _checked_labels(labels, count, "labels")
    if gallery is None:
        dense = np.unique(own, return_inverse=True)[1]
        return dense, dense
    other = _checked_labels(reference_labels, len(gallery), "reference_labels")
    if count and len(other) and own.dtype.kind != other.dtype.kind:
        raise ValueError(f"labels are {own.dtype} but reference_labels are {other.dtype}")
    dense = np.unique(np.concatenate([own, other]), return_inverse=True)[1]
    return dense[:count], dense[count:]


def _checked_labels(labels: Any, count: int, name: str) -> np.ndarray:
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu().numpy()
    array = np.asarray(labels)
    if array.shape != (count,):
        raise ValueError(f"{name} must be one for each of {count} items, not of shape {array.shape}")
    if count == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iuUSO":
        raise ValueError(f"{name} must be whole numbers or texts, not {array.dtype}")
    return array
