"""Compiled passes over the rows of embeddings: none makes a float64 copy of them all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerbench.evaluation.ranking.compiling import compiled
from powerbench.evaluation.ranking.structures import Floats, Integers


@compiled("reassoc", "nsz")
def inverse_lengths(raw: Any) -> Floats:
    """One over the length of each row; of rows of zeros, 1. Infinite for rows shorter than about 5e-309."""
    inverse = np.ones(len(raw))
    for row in range(len(raw)):
        peak = 0.0
        for k in range(raw.shape[1]):
            peak = max(peak, abs(np.float64(raw[row, k])))
        if peak > 0:
            total = 0.0
            for k in range(raw.shape[1]):
                total += (np.float64(raw[row, k]) / peak) ** 2
            inverse[row] = 1 / np.sqrt(total) / peak
    return inverse


@compiled()
def sum_rows(raw: Any, factors: Floats) -> Floats:
    """The sum of the rows, each times its factor, in float64."""
    total = np.zeros(raw.shape[1])
    for row in range(len(raw)):
        for k in range(raw.shape[1]):
            total[k] += np.float64(raw[row, k]) * factors[row]
    return total


@compiled("reassoc", "nsz")
def centred_rows(raw: Any, rows: Integers, factors: Floats, centre: Floats) -> tuple[NDArray[np.float32], Floats]:
    """Some rows times their factors, less a centre, in float32; and the squared lengths of the result."""
    centred, square = np.empty((len(rows), raw.shape[1]), np.float32), np.empty(len(rows))
    for place in range(len(rows)):
        row, total = rows[place], 0.0
        for k in range(raw.shape[1]):
            value = np.float32(np.float64(raw[row, k]) * factors[row] - centre[k])
            centred[place, k] = value
            total += np.float64(value) * np.float64(value)
        square[place] = total
    return centred, square


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
def equal_to_previous(words: NDArray[np.uint32], groups: Integers, order: Integers) -> NDArray[np.bool_]:
    """Whether each item, in ``order``, has the group and the row of the one before."""
    equal = np.zeros(len(order), np.bool_)
    for place in range(1, len(order)):
        item, before = order[place], order[place - 1]
        same = groups[item] == groups[before]
        k = 0
        while same and k < words.shape[1]:
            same = words[item, k] == words[before, k]
            k += 1
        equal[place] = same
    return equal
