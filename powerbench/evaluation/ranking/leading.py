"""Upper bounds of products from a few numbers an item: its part on the leading principal axes, the length of the rest.

By Cauchy and Schwarz ``q . n <= p_q . p_n + r_q r_n``, with p the parts on the axes and r the lengths of what is left
of the two vectors. That is one product of vectors of (axes + 1) numbers in place of D. Embeddings of trained models
have most of their length on few axes; so most bounds lie below the floors, and the few others cost a product each.
Embeddings that fill all dimensions evenly are multiplied whole.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powerbench.evaluation.ranking.near import Lookup
from powerbench.evaluation.ranking.points import Points
from powerbench.evaluation.ranking.structures import Job

Singles = NDArray[np.float32]

WIDTHS = (32, 48, 64, 80, 96, 128)
"""Lengths of bounding vectors, the length of the rest included: multiples of what BLAS likes."""

WORTHWHILE = 3 * 10**10
"""Multiplications below which looking for axes costs more than it can save."""

LOOKS = (1 / 64, 1 / 16, 1 / 4)
"""Shares of the work after which the width is chosen (anew): the more has been counted, the higher the floors are."""

SAMPLE = 2048
"""Items from which the axes are found."""

SAMPLED_QUERIES, SAMPLED_ITEMS = 512, 1024
"""Pairs of which the bounds are looked at to choose a width."""

PASS, PAIR, PAIR_PER_DIMENSION = 8, 1500.0, 3.0
"""What else things cost, in multiplications of a product: to look through a bound, and to make a product by itself."""


class Vectors(NamedTuple):
    """What is multiplied: of queries and references, and whether that gives upper bounds of the products only."""

    queries: Singles
    references: Singles
    bounds: bool


class Leading:
    """The vectors to multiply for a lookup: the embeddings themselves, until bounds are seen to be cheaper.

    work: the pairs of cells to be multiplied in all. looks: the shares of it after which to ``look``.
    """

    def __init__(self, lookup: Lookup, job: Job, work: int):
        self._lookup = lookup
        self._whole = Vectors(lookup.queries.product, lookup.references.product, False)
        dimensions = self._whole.references.shape[1]
        self._widths = [width for width in WIDTHS if width <= 0.8 * dimensions]
        self.vectors, self._width = self._whole, 0
        self.looks = LOOKS if self._widths and work * dimensions > WORTHWHILE else ()
        if self.looks:
            self._axes = _principal_axes(self._whole.references, self._widths[-1])
            self._queries = _spread(job.first, job.first + len(job.near.own_begin), SAMPLED_QUERIES)
            self._items = _spread(0, len(lookup.references), SAMPLED_ITEMS)
            self._parts = [
                points.product[some] @ self._axes
                for points, some in ((lookup.queries, self._queries), (lookup.references, self._items))
            ]

    def look(self, job: Job) -> None:
        """Choose what to multiply from now on, with the floors as they are now."""
        if self.looks:
            self._use(self._cheapest(job))

    def _use(self, width: int) -> None:
        """Multiply vectors of this width from now on; 0: the embeddings themselves."""
        if width == self._width:
            return
        self._width, lookup = width, self._lookup
        if not width:
            self.vectors = self._whole
            return
        references = self._bounding(lookup.references, width)
        self.vectors = Vectors(
            references if lookup.within_itself else self._bounding(lookup.queries, width), references, True
        )

    def _cheapest(self, job: Job) -> int:
        """The width that costs least by a sample of queries and items."""
        floors = job.tally.floor[self._queries - job.first, None] + job.items.half[self._items]
        dimensions = self._whole.references.shape[1]
        shared = 2 if self._lookup.within_itself else 1  # a product serves both of its items
        costs = {0: dimensions / shared}
        squares = job.queries.square[self._queries], job.items.square[self._items]
        for width in self._widths:
            some, more = (
                _with_rest(parts[:, : width - 1], square, dimensions)
                for parts, square in zip(self._parts, squares, strict=True)
            )
            left = float((some @ more.T > floors).mean())
            costs[width] = (width + PASS) / shared + left * (PAIR + PAIR_PER_DIMENSION * dimensions)
        return min(costs, key=costs.__getitem__)

    def _bounding(self, points: Points, width: int) -> Singles:
        parts = points.product @ self._axes[:, : width - 1]
        return _with_rest(parts, points.cells.square, points.product.shape[1])


def _with_rest(parts: Singles, square: NDArray[np.float64], dimensions: int) -> Singles:
    """Bounding vectors (cells x (axes + 1)) of cells by their parts on the axes and their squared lengths.

    The rest is taken longer than it is by what rounding may have added to or taken from any of the numbers, here
    and in the product of two such vectors: at most a few D sqrt(axes) u of the two lengths' product.
    """
    axes = parts.shape[1]
    rest = square - np.einsum("ij,ij->i", parts, parts, dtype=np.float64)
    slack = 4 * np.sqrt(axes) * (dimensions + axes) * 2.0**-24 * square
    return np.column_stack([parts, np.sqrt(np.maximum(rest, 0) + slack).astype(np.float32)])


def _principal_axes(rows: Singles, count: int) -> Singles:
    """Orthonormal axes (D x count) that hold most of the rows' lengths, the first of them the most.

    By subspace iteration from random directions; axes that are not quite the best ones only make bounds less tight.
    """
    some = rows[_spread(0, len(rows), SAMPLE)]
    axes = np.random.default_rng(0).standard_normal((rows.shape[1], count), dtype=np.float32)
    axes = np.linalg.qr(some.T @ (some @ axes))[0]
    parts = some @ axes
    ordered: Singles = axes @ np.linalg.eigh(parts.T @ parts)[1][:, ::-1]
    return ordered


def _spread(begin: int, end: int, count: int) -> NDArray[np.int64]:
    """At most ``count`` numbers, evenly spread over begin .. end."""
    return np.unique(np.linspace(begin, end - 1, min(count, end - begin)).astype(np.int64))
