"""Where the relevant items of each query rank, counted without ever ordering the whole gallery.

The rank of a query's i-th closest relevant item is i plus the number of irrelevant items that
are closer. Only these counts are needed, and only up to the rank at which a metric stops looking.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SCORES_AT_A_TIME = 2**22
"""Scores held in memory at once (32 MiB), whatever the size of the gallery."""


@dataclass(frozen=True)
class Ranks:
    """The relevant items of some queries, flat: query by query, closest first.

    relevant: number of relevant items of each query, at least 1.
    rows: the query each entry belongs to (0 .. len(relevant) - 1, ascending).
    order: 1 for a query's closest relevant item, 2 for the next, ...
    closer, as_close: irrelevant items that are closer, and that are at least as close. Both may
    stop at the look-ahead that was asked for, and then agree.
    """

    relevant: Integers
    rows: Integers
    order: Integers
    closer: Integers
    as_close: Integers


def rank_relevant(
    queries: Floats, classes: Integers, gallery: Floats | None, gallery_classes: Integers, look_ahead: int
) -> Iterator[Ranks]:
    """Rank the relevant items of every query that has one, some queries at a time.

    queries, gallery: embeddings, N x D and M x D; gallery None: the queries themselves, each
    without itself (removed by its index). classes, gallery_classes: one number an item.
    look_ahead: counts are needed up to this number or that of the relevant items, whichever is more.

    Distances are Euclidean, on the embeddings as given. Two squared distances that agree to
    within the rounding of a float64 sum are a tie. Candidates for ties are found by a matrix
    product and then recomputed as sums of squared differences, so that the result does not
    depend on how many queries are handled at a time.
    """
    order = np.argsort(gallery_classes, kind="stable")
    gallery_size = len(order)
    items = (queries if gallery is None else gallery)[order]
    sorted_classes = gallery_classes[order]
    starts = np.searchsorted(sorted_classes, classes, side="left")
    counts = np.searchsorted(sorted_classes, classes, side="right") - starts
    own_place = np.full(len(queries), -1)
    if gallery is None:
        own_place[order] = np.arange(gallery_size)
    relevant = counts - (own_place >= 0)
    asked = np.argsort(classes, kind="stable")
    asked = asked[relevant[asked] > 0]
    step = max(1, SCORES_AT_A_TIME // max(1, gallery_size))
    half_norms = np.einsum("ij,ij->i", items, items) / 2
    for first in range(0, len(asked), step):
        some = asked[first : first + step]
        block = _Block(queries[some], starts[some], counts[some], own_place[some])
        yield block.ranks(items, half_norms, look_ahead)


@dataclass(frozen=True)
class _Block:
    """Some queries; their class lies at ``starts`` .. ``starts + counts`` of the gallery sorted by class."""

    queries: Floats
    starts: Integers
    counts: Integers
    own_place: Integers

    def ranks(self, items: Floats, half_norms: Floats, look_ahead: int) -> Ranks:
        rows, places = self._relevant_places()
        relevant = np.bincount(rows, minlength=len(self.queries))
        scores = self.queries @ items.T
        scores -= half_norms
        found = scores[rows, places]
        scores[rows, places] = -np.inf
        own = np.flatnonzero(self.own_place >= 0)
        scores[own, self.own_place[own]] = -np.inf

        ends = np.cumsum(relevant)
        best_first = np.lexsort((-found, rows))
        found = found[best_first]
        doubt = self._doubt(half_norms, items.shape[1])
        needed = min(scores.shape[1], max(look_ahead, int(relevant.max())))
        top = _largest(scores, needed)
        closer, as_close = np.empty_like(rows), np.empty_like(rows)
        for row, (start, end) in enumerate(zip(ends - relevant, ends, strict=True)):
            some = found[start:end]
            closer[start:end] = needed - top[row].searchsorted(some + doubt[row], side="right")
            as_close[start:end] = needed - top[row].searchsorted(some - doubt[row], side="left")
        for row in np.unique(rows[closer != as_close]):
            part = slice(ends[row] - relevant[row], ends[row])
            closer[part], as_close[part] = self._recount(row, items, places[part])
        order = np.arange(len(rows)) - np.repeat(ends - relevant, relevant) + 1
        return Ranks(relevant, rows, order, closer, as_close)

    def _relevant_places(self) -> tuple[Integers, Integers]:
        """Rows of the block and places in the gallery of all relevant pairs, row by row."""
        rows = np.repeat(np.arange(len(self.queries)), self.counts)
        ends = np.cumsum(self.counts)
        places = np.arange(len(rows)) - np.repeat(ends - self.counts, self.counts) + self.starts[rows]
        others = places != self.own_place[rows]
        return rows[others], places[others]

    def _doubt(self, half_norms: Floats, width: int) -> Floats:
        """How far apart two scores of a query must be to be no tie for certain: rounding errors included."""
        lengths = np.sqrt(np.einsum("ij,ij->i", self.queries, self.queries))
        doubt: Floats = _tolerance(width) * (lengths + np.sqrt(2 * half_norms.max())) ** 2
        return doubt

    def _recount(self, row: int, items: Floats, places: Integers) -> tuple[Integers, Integers]:
        """Irrelevant items closer than, and at least as close as, each relevant one, from exact differences."""
        differences = items - self.queries[row]
        distances = np.einsum("ij,ij->i", differences, differences)
        near = np.sort(distances[places])
        start = self.starts[row]
        others = np.sort(np.delete(distances, np.s_[start : start + self.counts[row]]))
        tolerance = _tolerance(items.shape[1])
        closer = others.searchsorted(near * (1 - tolerance), side="left")
        return closer, others.searchsorted(near * (1 + tolerance), side="right")


def _tolerance(width: int) -> float:
    """The relative rounding error of a sum of ``width`` squares, generously."""
    return float(4 * (width + 4) * np.finfo(np.float64).eps)


def _largest(scores: Floats, count: int) -> Floats:
    """The ``count`` largest scores of each row, ascending. The order within ``scores`` is lost."""
    size = scores.shape[1]
    if count < size:
        scores.partition(size - count, axis=1)
    top = scores[:, size - count :]
    top.sort(axis=1)
    return top
