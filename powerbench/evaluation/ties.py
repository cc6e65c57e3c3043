"""Expected values of retrieval metrics when equally close items are put in random order."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np

from powerbench.evaluation.names import recall_k
from powerbench.evaluation.retrieval import Ranks

Group = tuple[int, int, int, int]
"""Equally close items: (items ahead, relevant items ahead, items in the group, relevant items in it)."""


def expected_values(metric: str, ranks: Ranks, row: int) -> float:
    """The mean of a metric of one query over all orders of items that are equally close."""
    first, last = np.searchsorted(ranks.rows, [row, row + 1])
    groups = list(_groups(ranks.closer[first:last], ranks.as_close[first:last]))
    relevant = int(ranks.relevant[row])
    if metric == "map_at_r":
        return sum(_precisions(group, relevant) for group in groups) / relevant
    if metric == "r_precision":
        return sum(_found(group, relevant) for group in groups) / relevant
    return _hit(groups[0], recall_k(metric) or 1)


def _groups(closer: np.ndarray, as_close: np.ndarray) -> Iterator[Group]:
    """Relevant items with the same irrelevant ones ahead and beside them, closest first."""
    _, starts, sizes = np.unique(np.stack([closer, as_close]), axis=1, return_index=True, return_counts=True)
    for start, size in sorted(zip(starts.tolist(), sizes.tolist(), strict=True)):
        irrelevant = int(as_close[start] - closer[start])
        yield int(closer[start]) + start, start, irrelevant + size, size


def _precisions(group: Group, relevant: int) -> float:
    """Expected sum, over the group's places up to rank R, of the precision at each relevant item.

    At place j a relevant item stands with probability t/g, and then (j-1)(t-1)/(g-1) of the
    group's others are expected before it.
    """
    ahead, relevant_ahead, size, inside = group
    place = np.arange(1, min(size, relevant - ahead) + 1)
    before = (place - 1) * (inside - 1) / max(1, size - 1)
    return float((inside / size * (relevant_ahead + 1 + before) / (ahead + place)).sum())


def _found(group: Group, relevant: int) -> float:
    """Expected number of the group's relevant items up to rank R."""
    ahead, _, size, inside = group
    return inside * min(max(relevant - ahead, 0), size) / size


def _hit(group: Group, k: int) -> float:
    """Probability that one of the closest relevant items stands at rank k or before."""
    ahead, _, size, inside = group
    places = min(max(k - ahead, 0), size)
    return 1 - comb(size - inside, places) / comb(size, places)
