"""Retrieval metrics of single queries, from the ranks of their relevant items.

A query has R relevant items; rank_i is the rank of the i-th closest of them. Definitions, sources and the rules for
ties stand in docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from powerbench.evaluation.names import Metric
from powerbench.evaluation.ranking.near import UNLIMITED, Limits, Lookup, Ties
from powerbench.evaluation.ranking.points import Floats, Integers
from powerbench.evaluation.ranking.ranks import BEYOND, Ranks
from powerbench.evaluation.ties import expected_value

OF_FIRST = ("precision_at_1", "recall_at", "class_recall_at", "mrr")
"""Metrics that look at the closest relevant item only; all others sum over relevant items."""

LENGTH_OF_LIM = 1023
"""The longest list of neighbours that Revisiting DML's ``mAP_lim`` looks at."""


def limits_of(metrics: Iterable[Metric]) -> Limits:
    """The ranks up to which some metrics need to know the relevant items."""
    beyond, k, first_k = [], [0], [1]
    for metric in metrics:
        if metric.base in OF_FIRST:
            first_k.append(UNLIMITED if metric.base == "mrr" else metric.k or 1)
        elif metric.base in ("map_at_r", "r_precision", "marp", "map_c"):
            beyond.append(1 if metric.base == "map_c" else 0)
        else:
            k.append(int(ranks_looked_at(metric, np.zeros(1, dtype=np.int64))[0]))
    return Limits(max(beyond, default=None), max(k), max(first_k))


def ranks_looked_at(metric: Metric, relevant: Integers) -> Integers:
    """How many ranks a metric looks at, for queries by their number of relevant items."""
    fixed = {"map": UNLIMITED, "map_at": metric.k or 1, "map_1000": 1000, "map_lim": LENGTH_OF_LIM}.get(metric.base)
    if fixed is not None:
        return np.full(len(relevant), fixed)
    return relevant + 1 if metric.base == "map_c" else relevant


def best_sum(metric: Metric, relevant: Integers) -> Integers:
    """What a sum over relevant items is divided by; for ``marp`` it is the number of them that were found."""
    if metric.base in ("map_c", "map_1000", "map_lim"):
        return relevant + 1  # the size of the class, the query included
    return np.minimum(relevant, metric.k or 1) if metric.base == "map_at" else relevant


def values_of(metric: Metric, ranks: Ranks, ties: Ties) -> Floats:
    """The metric's value for each query."""
    rank = ranks.order + (ranks.closer if ties == "optimistic" else ranks.as_close)
    first = rank[ranks.order == 1]
    if metric.base == "mrr":
        values: Floats = 1 / first
    elif metric.base in OF_FIRST:
        values = (first <= (metric.k or 1)).astype(np.float64)
    else:
        values = _sums(metric, ranks, rank)
    if ties == "expected":
        tied = (ranks.closer != ranks.as_close) & (ranks.closer < BEYOND)
        for row in np.unique(ranks.rows[tied]):
            values[row] = expected_value(metric.base, *_groups_and_limits(metric, ranks, row))
    return values


def means_of(metrics: Sequence[Metric], ranked: Iterable[Ranks], lookup: Lookup) -> list[float]:
    """Means over all queries that have a relevant item (NaN if none has); of ``class_recall``, over classes' means.

    Values are added one after another, so that it does not matter in which portions they come.
    """
    classes = int(lookup.queries.classes.max(initial=-1)) + 1
    sums, counts = np.zeros((len(metrics), classes)), np.zeros(classes)
    for ranks in ranked:
        of_query = lookup.queries.classes[ranks.queries]
        counts += np.bincount(of_query, ranks.copies, classes)
        for row, metric in enumerate(metrics):
            np.add.at(sums[row], of_query, values_of(metric, ranks, lookup.ties) * ranks.copies)
    some = counts > 0
    if not some.any():
        return [float("nan")] * len(metrics)
    of_classes, of_all = (sums[:, some] / counts[some]).mean(axis=1), sums.sum(axis=1) / counts.sum()
    by_class = [metric.base == "class_recall_at" for metric in metrics]
    means: list[float] = np.where(by_class, of_classes, of_all).tolist()
    return means


def per_query(metric: Metric, ranked: Iterable[Ranks], lookup: Lookup) -> Floats:
    """The metric's value for each query as it was given; NaN for those without a relevant item."""
    values = np.full(len(lookup.queries), np.nan)
    for ranks in ranked:
        values[ranks.queries] = values_of(metric, ranks, lookup.ties)
    of_items: Floats = values[lookup.queries.cell_of]
    return of_items


def _sums(metric: Metric, ranks: Ranks, rank: Integers) -> Floats:
    counted = rank <= ranks_looked_at(metric, ranks.relevant)[ranks.rows]
    best = best_sum(metric, ranks.relevant)
    queries = len(best)
    if metric.base == "r_precision":
        return np.bincount(ranks.rows, counted, queries) / best
    if metric.base == "marp":
        best = np.maximum(np.bincount(ranks.rows[counted], minlength=queries), 1)
    return np.bincount(ranks.rows, np.where(counted, ranks.order / rank, 0.0), queries) / best


def _groups_and_limits(
    metric: Metric, ranks: Ranks, row: int
) -> tuple[tuple[tuple[int, int, int, int], ...], int, int]:
    """Relevant items with the same irrelevant ones ahead and beside them, closest first; and the metric's limits.

    A group is (items ahead, relevant items ahead, items in the group, relevant items in it).
    """
    first, last = np.searchsorted(ranks.rows, [row, row + 1])
    closer, as_close = ranks.closer[first:last], ranks.as_close[first:last]
    live = int((closer < BEYOND).sum())
    starts = np.flatnonzero(np.diff(closer[:live], prepend=-1) | np.diff(as_close[:live], prepend=-1))
    sizes = np.diff(starts, append=live)
    groups = tuple(
        (int(closer[start]) + start, start, int(as_close[start] - closer[start]) + size, size)
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
    )
    relevant = ranks.relevant[row : row + 1]
    limit = metric.k or 1 if metric.base in OF_FIRST else int(ranks_looked_at(metric, relevant)[0])
    return groups, limit, int(best_sum(metric, relevant)[0])
