"""Expected values of retrieval metrics when equally close items are put in random order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from powerbench.evaluation.ranking.points import Floats

Group = tuple[int, int, int, int]
"""Equally close items: (items ahead, relevant items ahead, items in the group, relevant items in it)."""


@lru_cache(maxsize=2**16)
def expected_value(base: str, groups: tuple[Group, ...], limit: int, best: int) -> float:
    """The mean of a metric of one query over all orders of items that are equally close.

    base: the metric, without its k. groups: closest first, those beyond the limit may be missing. limit: ranks
    looked at. best: what sums are divided by.
    """
    if base == "mrr":
        return _reciprocal_rank(groups[0])
    if base in ("precision_at_1", "recall_at", "class_recall_at"):
        return 1 - _none_within(groups[0], limit)
    if base == "r_precision":
        return sum(_found(group, limit) for group in groups) / best
    if base == "marp":
        return _mean_over_found(groups, limit)
    return sum(_precisions(group, limit) for group in groups) / best


def _precisions(group: Group, limit: int) -> float:
    """Expected sum, over the group's places up to the limit, of the precision at each relevant item.

    At place j a relevant item stands with probability t/g, and then (j-1)(t-1)/(g-1) of the
    group's others are expected before it.
    """
    ahead, relevant_ahead, size, inside = group
    place = np.arange(1, min(size, limit - ahead) + 1)
    before = (place - 1) * (inside - 1) / max(1, size - 1)
    return float((inside / size * (relevant_ahead + 1 + before) / (ahead + place)).sum())


def _found(group: Group, limit: int) -> float:
    """Expected number of the group's relevant items up to the limit."""
    ahead, _, size, inside = group
    return inside * min(max(limit - ahead, 0), size) / size


def _mean_over_found(groups: tuple[Group, ...], limit: int) -> float:
    """Expected mean, over the relevant items up to the limit, of the precision at each (0 if there is none).

    Groups that lie within the limit contribute a known number of relevant items. At most one group lies across it:
    for each number of its relevant items that may fall within, the rest is known again.
    """
    inside = [group for group in groups if group[0] + group[2] <= limit]
    total, found = sum(_precisions(group, limit) for group in inside), sum(group[3] for group in inside)
    across = [group for group in groups if group[0] < limit < group[0] + group[2]]
    if not across:
        return total / found if found else 0.0
    ahead, relevant_ahead, size, relevant = across[0]
    places, value = limit - ahead, 0.0
    for count, probability in enumerate(_hypergeometric(size, relevant, places)):
        if probability and found + count:
            part = _precisions((ahead, relevant_ahead, places, count), limit)
            value += probability * (total + part) / (found + count)
    return value


def _hypergeometric(size: int, relevant: int, places: int) -> Floats:
    """Probability of 0, 1, ... of ``relevant`` items among the first ``places`` of ``size`` in random order."""
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.pmf(np.arange(min(relevant, places) + 1), size, relevant, places), dtype=np.float64)


def _none_within(group: Group, k: int) -> float:
    """Probability that none of the group's relevant items stands at rank k or before."""
    ahead, _, size, inside = group
    places = min(max(k - ahead, 0), size)
    fewer, more = sorted((places, inside))
    step = np.arange(fewer)
    return float(np.prod(np.maximum(size - more - step, 0) / (size - step)))


def _reciprocal_rank(group: Group) -> float:
    """Expected reciprocal of the rank of the first relevant item of the group."""
    ahead, _, size, inside = group
    step = np.arange(size - inside + 1)
    none_before = np.cumprod(np.concatenate([[1.0], (size - inside - step[:-1]) / (size - step[:-1])]))
    return float((none_before * inside / (size - step) / (ahead + step + 1)).sum())
