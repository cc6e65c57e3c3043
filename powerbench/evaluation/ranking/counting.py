"""The compiled counting of one irrelevant item for one query.

Scores are those of Euclidean distance on the centred float32 copies: for a query q and an item n,
``q . n - |n|^2 / 2`` is larger the closer n is. A float32 score only ever decides what lies farther from it than
its error bound (``reach``); the rest is settled by the squared distance in float64, from the embeddings as given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powerbench.evaluation.ranking.cells import Cells, Floats, Integers, distance_of
from powerbench.evaluation.ranking.compiling import compiled

Counts = NDArray[np.int32]


class Positives(NamedTuple):
    """The relevant items of some queries, flat: those of query q at ``begin[q]`` .. ``begin[q + 1]``, closest first.

    distance: squared, in float64. copies: the items each stands for. place: the rank it would have without
    irrelevant items. own_begin, own_end: where the query's class lies among the reference cells.
    limit, first_limit: the rank up to which the relevant items, and up to which the closest one, are of interest.
    """

    begin: Integers
    distance: Floats
    copies: Counts
    place: Counts
    own_begin: Integers
    own_end: Integers
    limit: Integers
    first_limit: Integers


class Tally(NamedTuple):
    """What has been counted: for each relevant item the irrelevant ones that beat it but none of the query's closer
    ones; ``closer`` by being closer, ``as_close`` by being at least as close.

    live: relevant items of each query that may still stand within the limits. seen: irrelevant items counted for
    them. floor: scores below are too far to beat any of them.
    """

    closer: Counts
    as_close: Counts
    live: Integers
    seen: Integers
    floor: NDArray[np.float32]


class Rules(NamedTuple):
    """When two distances are told apart, and by what.

    ties_lose: a tie counts against the query when it is decided which relevant items are still of interest.
    rounding, tolerance: absolute and relative error of a distance in float64. coarse: relative error of a float32
    product. blur: error of the centring. longest: the length of the longest reference.
    """

    ties_lose: bool
    rounding: float
    tolerance: float
    coarse: float
    blur: float
    longest: float


class Job(NamedTuple):
    """Query cells, looked up among ``items``; those from ``first`` on are the rows of ``near`` and ``tally``."""

    first: int
    queries: Cells
    items: Cells
    near: Positives
    tally: Tally
    rule: Rules


@compiled()
def reach(one: float, other: float, rule: Rules) -> float:
    """How far a float32 score of two items of these lengths may be from the exact one.

    The products' error is at most D u |q| |n|; rounding the copies, the halves and the bounds adds a few
    u (|q| + |n|)^2, the centring its own, and numbers too small for float32 the last term.
    """
    both = one + other
    return rule.coarse * one * other + 2.0**-21 * both**2 + rule.blur * (both + rule.blur) + 1e-34


@compiled()
def count_item(q: int, n: int, product: float, job: Job) -> None:
    """Count irrelevant cell ``n`` for query cell ``q``, if it matters. product: that of their float32 copies."""
    queries, items, near, tally, rule = job.queries, job.items, job.near, job.tally, job.rule
    row = q - job.first
    live = tally.live[row]
    if live == 0:
        return
    begin = near.begin[row]
    end = begin + live
    squared = queries.square[q] + items.square[n] - 2 * np.float64(product)
    doubt = 2 * reach(queries.length[q], items.length[n], rule)
    if squared - doubt > near.distance[end - 1]:
        return
    closer = first_beyond(near.distance, begin, end, squared + doubt, False)
    as_close = first_beyond(near.distance, begin, end, squared - doubt, True)
    if closer != as_close:
        exact = np.sqrt(distance_of(queries, q, items, n))
        upper = exact * (1 + rule.tolerance) + rule.rounding
        lower = max(0.0, exact * (1 - rule.tolerance) - rule.rounding)
        closer = first_beyond(near.distance, begin, end, upper * upper, False)
        as_close = first_beyond(near.distance, begin, end, lower * lower, True)
    copies = items.copies[n]
    if closer < end:
        tally.closer[closer] += copies
    if as_close < end:
        tally.as_close[as_close] += copies
    if (as_close if rule.ties_lose else closer) < end:
        tally.seen[row] += copies
        drop_far(row, job)


@compiled()
def first_beyond(distances: Floats, begin: int, end: int, value: float, or_equal: bool) -> int:
    """The first of the ascending ``distances`` in begin .. end that is larger than ``value`` (or equal to it)."""
    low, high = begin, end
    while low < high:
        middle = (low + high) // 2
        if distances[middle] > value or (or_equal and distances[middle] == value):
            high = middle
        else:
            low = middle + 1
    return low


@compiled()
def drop_far(row: int, job: Job) -> None:
    """Let go of a query's relevant items that stand beyond the limits; if there are any, raise its floor."""
    near, tally = job.near, job.tally
    begin, live, seen = near.begin[row], tally.live[row], tally.seen[row]
    counts = tally.as_close if job.rule.ties_lose else tally.closer
    before = live
    while live > 0:
        last = begin + live - 1
        if near.place[last] + seen <= (near.first_limit[row] if near.place[last] == 1 else near.limit[row]):
            break
        seen -= counts[last]
        live -= 1
    if live != before:
        tally.live[row], tally.seen[row] = live, seen
        set_floor(row, job)


@compiled()
def set_floor(row: int, job: Job) -> None:
    """Set the score below which an item is farther than all of a query's live relevant items, whatever the rounding."""
    live, q = job.tally.live[row], job.first + row
    floor = np.inf
    if live > 0:
        farthest = job.near.distance[job.near.begin[row] + live - 1]
        floor = (job.queries.square[q] - farthest) / 2 - reach(job.queries.length[q], job.rule.longest, job.rule)
    job.tally.floor[row] = floor


@compiled()
def set_floors(job: Job) -> None:
    """Set all floors before anything is counted."""
    for row in range(len(job.tally.live)):
        drop_far(row, job)
        set_floor(row, job)


@compiled()
def rank_positives(job: Job, own_cell: Integers, ties_share: bool) -> None:
    """Fill in distance, copies and place of the relevant items of a job's queries.

    own_cell: the cell of ``items`` that holds the query itself, or -1. ties_share: equally close items have the
    place of the first of them.
    """
    near, items, rule = job.near, job.items, job.rule
    for row in range(len(near.own_begin)):
        q, entry = job.first + row, near.begin[row]
        cells = np.empty(near.begin[row + 1] - entry, np.int64)
        distances = np.empty(len(cells))
        found = 0
        for n in range(near.own_begin[row], near.own_end[row]):
            if n != own_cell[row] or items.copies[n] > 1:
                cells[found] = n
                distances[found] = distance_of(job.queries, q, items, n)
                found += 1
        ahead, place, tied_until = 0, 1, -1.0
        for k in np.argsort(distances, kind="mergesort"):
            copies = items.copies[cells[k]] - (cells[k] == own_cell[row])
            if not ties_share or distances[k] > tied_until:
                place = ahead + 1
                tied_until = (np.sqrt(distances[k]) * (1 + 2 * rule.tolerance) + 2 * rule.rounding) ** 2
            near.distance[entry], near.copies[entry], near.place[entry] = distances[k], copies, place
            ahead += copies
            entry += 1
