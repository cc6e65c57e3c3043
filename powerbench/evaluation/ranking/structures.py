"""What the compiled loops read and write: arrays by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Counts = NDArray[np.int32]


class Cells(NamedTuple):
    """Distinct items. single, double: all embeddings as given (N x D), in the one of their precision; the other is
    empty (so that the loops are compiled once for both). Of each cell: ``item``, its row there; ``factor``, what
    that row is multiplied by; ``copies``, the items it stands for; ``product``, its centred float32 copy (cells x D)
    from which products are made; and of that the squared length, the length, and half the squared length."""

    single: NDArray[np.float32]
    double: Floats
    item: Integers
    factor: Floats
    copies: Integers
    product: NDArray[np.float32]
    square: Floats
    length: Floats
    half: NDArray[np.float32]


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
