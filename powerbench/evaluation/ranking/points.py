"""Embeddings made ready for counting: sorted by class, repetitions merged, and a float32 copy for matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from powerbench.evaluation.ranking.rows import centred_rows, equal_to_previous, hash_rows, inverse_lengths, sum_rows
from powerbench.evaluation.ranking.structures import Cells

Distance = Literal["euclidean", "cosine"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Embeddings = NDArray[np.float32] | NDArray[np.float64]

ROUNDING_OF_COSINES = 1e-15
"""How far rounding may move the distance of two vectors scaled to length 1."""

LARGEST_EXPONENT = 1023
"""Of a power of two in float64."""

LENGTHENING = 128
"""The exponent of the power of two that makes the shortest rows of float64 long enough to be inverted."""


@dataclass(frozen=True)
class Points:
    """Cells: the distinct pairs of group and embedding, in order of group; a group is a class or a part of one.

    cells: what the kernels read (see there). classes, groups: ascending. cell_of: the cell of each item as given.
    """

    cells: Cells
    classes: Integers
    groups: Integers
    cell_of: Integers

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def product(self) -> NDArray[np.float32]:
        """The embeddings of which products are made: centred, float32 (cells x D)."""
        return self.cells.product


@dataclass(frozen=True)
class Space:
    """How embeddings become comparable: ``distance``, a common factor, and the centre that products leave out.

    Distances do not depend on the centre; but the closer it is to the middle of the embeddings, the fewer
    float32 products are too coarse to decide.
    """

    distance: Distance
    unit: float
    centre: Floats

    @property
    def rounding(self) -> float:
        """The absolute part of the error of a distance; the other part is relative to it."""
        return ROUNDING_OF_COSINES if self.distance == "cosine" else 0.0


def space_of(distance: Distance, *sets: Embeddings) -> Space:
    """A space for all items of some sets of embeddings (N x D each)."""
    unit = unit_of(*sets) if distance == "euclidean" else 1.0
    total = sum(sum_rows(*_scaled(some, distance, unit)) for some in sets)
    return Space(distance, unit, total / max(1, sum(map(len, sets))))


def unit_of(*sets: Embeddings) -> float:
    """The power of two by which some sets of embeddings (N x D each) are multiplied: 1 unless squares need it."""
    peak = max((float(max(some.max(), -some.min())) for some in sets if some.size), default=0.0)
    if peak == 0 or 1e-12 < peak < 1e12:
        return 1.0
    return float(np.ldexp(1.0, min(-int(np.frexp(peak)[1]), LARGEST_EXPONENT)))  # into the range of float32


def points_of(raw: Embeddings, classes: Integers, space: Space, groups: Integers | None = None) -> Points:
    """The cells of some items: ``raw`` N x D, C-contiguous; ``classes``: one dense number an item.

    groups: numbers of the parts of classes, in order of class; None: the classes are the groups.
    """
    groups = classes if groups is None else groups
    raw, factors = _scaled(raw, space.distance, space.unit)
    words = raw.view(np.uint32)
    order = np.lexsort((hash_rows(words), groups))
    first = ~equal_to_previous(words, groups, order)
    cell_of = np.empty(len(raw), dtype=np.int64)
    cell_of[order] = np.cumsum(first) - 1
    items = order[first]
    product, square = centred_rows(raw, items, factors, space.centre)
    cells = Cells(
        single=raw.astype(np.float32, copy=False) if raw.dtype == np.float32 else np.empty((0, 0), dtype=np.float32),
        double=raw.astype(np.float64, copy=False) if raw.dtype == np.float64 else np.empty((0, 0)),
        item=items,
        factor=factors[items],
        copies=np.bincount(cell_of, minlength=len(items)),
        product=product,
        square=square,
        length=np.sqrt(square),
        half=(square / 2).astype(np.float32),
    )
    return Points(cells, classes[items], groups[items], cell_of)


def _scaled(rows: Embeddings, distance: Distance, unit: float) -> tuple[Embeddings, Floats]:
    """Rows, and what each is multiplied by: the same for all, or one over its length.

    Rows so short that one over their length is no float64 are made longer first; that changes no direction.
    """
    if distance == "euclidean":
        return rows, np.full(len(rows), unit)
    factors = inverse_lengths(rows)
    if (short := np.isinf(factors)).any():
        rows = rows.copy()
        rows[short] *= 2.0**LENGTHENING
        factors[short] = inverse_lengths(rows[short])
    return rows, factors
