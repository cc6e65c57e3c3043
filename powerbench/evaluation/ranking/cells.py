"""Distinct items as the compiled loops read them, and exact distances between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powerbench.evaluation.ranking.compiling import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Cells(NamedTuple):
    """Distinct items. single, double: all embeddings as given (N x D), in the one of their precision; the other is
    empty (so that the loops are compiled once for both). Of each cell: ``item``, its row there; ``factor``, what
    that row is multiplied by; ``copies``, the items it stands for; and of its centred float32 copy the squared
    length, the length, and half the squared length."""

    single: NDArray[np.float32]
    double: Floats
    item: Integers
    factor: Floats
    copies: Integers
    square: Floats
    length: Floats
    half: NDArray[np.float32]


@compiled()
def hash_rows(words: NDArray[np.uint32]) -> Integers:
    """A number for each row that is the same for equal rows."""
    hashes = np.empty(len(words), np.int64)
    for row in range(len(words)):
        value = np.uint64(14695981039346656037)
        for word in words[row]:
            value = (value ^ np.uint64(word)) * np.uint64(1099511628211)
            value ^= value >> np.uint64(29)
        hashes[row] = np.int64(value >> np.uint64(1))
    return hashes


@compiled()
def equal_to_previous(words: NDArray[np.uint32], classes: Integers, order: Integers) -> NDArray[np.bool_]:
    """Whether each item, in ``order``, has the class and the row of the one before."""
    equal = np.zeros(len(order), np.bool_)
    for place in range(1, len(order)):
        item, before = order[place], order[place - 1]
        same = classes[item] == classes[before]
        k = 0
        while same and k < words.shape[1]:
            same = words[item, k] == words[before, k]
            k += 1
        equal[place] = same
    return equal


@compiled("reassoc", "nsz")
def distance_of(queries: Cells, q: int, items: Cells, n: int) -> float:
    """The squared distance between a query cell and an item cell: from the embeddings as given, summed in float64."""
    i, j, one, other = queries.item[q], items.item[n], queries.factor[q], items.factor[n]
    total = 0.0
    if len(queries.double):
        for k in range(queries.double.shape[1]):
            difference = queries.double[i, k] * one - items.double[j, k] * other
            total += difference * difference
    else:
        for k in range(queries.single.shape[1]):
            difference = np.float64(queries.single[i, k]) * one - np.float64(items.single[j, k]) * other
            total += difference * difference
    return total
