"""The compiled scan of a tile of float32 products for the few that may change a rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from powerbench.evaluation.ranking.cells import Integers
from powerbench.evaluation.ranking.compiling import compiled
from powerbench.evaluation.ranking.counting import Job, count_item

CHUNK = 64
"""Scores that are looked at together: a chunk without any score above its bound is left at once."""


@compiled()
def scan_rows(products: Any, q0: int, n0: int, job: Job) -> None:
    """Count the columns of a tile, cells n0 .. of the items, for its rows, cells q0 .. of the queries."""
    own_begins, own_ends, floor, width = job.near.own_begin, job.near.own_end, job.tally.floor, products.shape[1]
    halves = job.items.half
    half = halves[n0 : n0 + width]
    for i in range(products.shape[0]):
        row, scores = q0 + i - job.first, products[i]
        own_begin = min(max(own_begins[row] - n0, 0), width)
        own_end = min(max(own_ends[row] - n0, 0), width)
        for begin, end in ((0, own_begin), (own_end, width)):
            start = begin
            while start < end:
                start = next_above(scores, half, floor[row], start, end)
                for j in range(start, min(start + CHUNK, end)):
                    if scores[j] > half[j] + floor[row]:
                        count_item(q0 + i, n0 + j, scores[j], job)
                start += CHUNK


@compiled()
def scan_both(products: Any, q0: int, n0: int, job: Job) -> None:
    """Count a tile's columns for its rows, and its rows for its columns: both are queries, and both are items."""
    own_begins, own_ends, floor, width = job.near.own_begin, job.near.own_end, job.tally.floor, products.shape[1]
    halves = job.items.half
    half = halves[n0 : n0 + width]
    floors = floor[n0 - job.first : n0 - job.first + width]
    for i in range(products.shape[0]):
        row, own_half, scores = q0 + i - job.first, halves[q0 + i], products[i]
        own_begin = min(max(own_begins[row] - n0, 0), width)
        own_end = min(max(own_ends[row] - n0, 0), width)
        for begin, end in ((0, own_begin), (own_end, width)):
            start = begin
            while start < end:
                start = next_above_either(scores, half, floor[row], own_half, floors, start, end)
                for j in range(start, min(start + CHUNK, end)):
                    if scores[j] > half[j] + floor[row]:
                        count_item(q0 + i, n0 + j, scores[j], job)
                    if scores[j] > own_half + floors[j]:
                        count_item(n0 + j, q0 + i, scores[j], job)
                start += CHUNK


@compiled()
def next_above(scores: Any, half: Any, floor: float, start: int, end: int) -> int:
    """The start of the first chunk in start .. end with an item that may matter to the row's query.

    If there is none, that of the incomplete chunk before ``end``, or ``end``. Indices are unsigned because numba
    would look for negative ones, which keeps the loop from being vectorised.
    """
    place, stop = np.uintp(start), np.uintp(end)
    while place + np.uintp(CHUNK) <= stop:
        found = np.int32(0)
        for j in range(place, place + np.uintp(CHUNK)):
            found |= np.int32(scores[j] > half[j] + floor)
        if found:
            break
        place += np.uintp(CHUNK)
    return int(np.intp(place))


@compiled()
def next_above_either(scores: Any, half: Any, floor: float, own_half: float, floors: Any, start: int, end: int) -> int:
    """The same, or with a query to which the row's item may matter: those have floors of their own."""
    place, stop = np.uintp(start), np.uintp(end)
    while place + np.uintp(CHUNK) <= stop:
        found = np.int32(0)
        for j in range(place, place + np.uintp(CHUNK)):
            found |= np.int32(scores[j] > min(half[j] + floor, own_half + floors[j]))
        if found:
            break
        place += np.uintp(CHUNK)
    return int(np.intp(place))


@compiled()
def count_pairs(rows: Integers, columns: Integers, products: Any, job: Job) -> None:
    """Count single pairs of query cell and item cell; those of one class are left out."""
    for k in range(len(rows)):
        row = rows[k] - job.first
        if not job.near.own_begin[row] <= columns[k] < job.near.own_end[row]:
            count_item(rows[k], columns[k], products[k], job)
