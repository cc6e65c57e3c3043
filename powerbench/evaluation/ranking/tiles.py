"""Counting on the CPU: tiles of the matrix of products, made by NumPy's BLAS and scanned while in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from powerbench.evaluation.ranking.kernels import scan_both, scan_rows
from powerbench.evaluation.ranking.leading import Leading, Vectors
from powerbench.evaluation.ranking.near import Lookup, again, merged
from powerbench.evaluation.ranking.structures import Job, Tally

ROWS, COLUMNS = 2048, 512
"""A tile of 4 MiB: what caches hold, and enough work for a product to be fast. OpenBLAS makes more rows than columns
faster than the other way round, by 5 to 10 % where there are few dimensions."""

STEPS = 4
"""Pieces into which the rows of a tile are cut that would lie across the diagonal and hold its pairs twice."""


class Tile(NamedTuple):
    """Query cells q0 .. q1 against reference cells n0 .. n1; ``both``: also the other way round."""

    q0: int
    q1: int
    n0: int
    n1: int
    both: bool


def tiles_of(lookup: Lookup, first: int, last: int, rows: int, columns: int, steps: int = 1) -> Iterator[Tile]:
    """Tiles that bring every query cell first .. last together with every reference cell once."""
    for q0 in range(first, last, rows):
        q1 = min(q0 + rows, last)
        if not lookup.within_itself:
            yield from _strip(q0, q1, 0, len(lookup.references), columns, False)
            continue
        yield from _strip(q0, q1, 0, first, columns, False)
        step = -(-rows // steps)
        for a in range(q0, q1, step):
            b = min(a + step, q1)
            yield from _strip(a, b, a, b, columns, False)
            yield from _strip(a, b, b, q1, columns, True)
        yield from _strip(q0, q1, last, len(lookup.references), columns, False)
        yield from _strip(q0, q1, q1, last, columns, True)


def _strip(q0: int, q1: int, begin: int, end: int, columns: int, both: bool) -> Iterator[Tile]:
    for n0 in range(begin, end, columns):
        yield Tile(q0, q1, n0, min(n0 + columns, end), both)


def count_on_cpu(lookup: Lookup, job: Job, threads: int | None) -> list[Tally]:
    """Count all references for the queries of a job, with as many threads as asked for (None: as BLAS uses)."""
    controller = _blas()
    if threads is None:
        threads = max((library["num_threads"] for library in controller.info()), default=1)
    waiting = list(tiles_of(lookup, job.first, job.first + len(job.near.own_begin), ROWS, COLUMNS, STEPS))
    with controller.limit(limits=1), ThreadPoolExecutor(threads) as pool:
        leading = Leading(lookup, job, sum(map(_pairs, waiting)))
        for piece, tiles in enumerate(_cut(waiting, leading.looks)):
            if piece:
                leading.look(job)
            job = _count(leading.vectors, job, tiles, min(threads, len(tiles)), pool)
    return [job.tally]


def _pairs(tile: Tile) -> int:
    return (tile.q1 - tile.q0) * (tile.n1 - tile.n0)


def _cut(tiles: list[Tile], shares: Sequence[float]) -> Iterator[list[Tile]]:
    """The tiles in order, cut after these shares of their pairs; no piece is empty."""
    done = np.cumsum([_pairs(tile) for tile in tiles])
    places = [int(np.searchsorted(done, share * done[-1])) + 1 for share in shares] if tiles else []
    for begin, end in pairwise([0, *places, len(tiles)]):
        if begin < end:
            yield tiles[begin:end]


def _count(vectors: Vectors, job: Job, tiles: list[Tile], threads: int, pool: ThreadPoolExecutor) -> Job:
    """Count tiles; each thread in a tally of its own, since it writes to queries of all tiles."""
    waiting = tiles[::-1]
    if threads <= 1:
        _work(vectors, job, waiting)
        return job
    jobs = [again(job) for _ in range(threads)]
    for done in [pool.submit(_work, vectors, own, waiting) for own in jobs]:
        done.result()
    return merged(job, jobs)


def _work(vectors: Vectors, job: Job, waiting: list[Tile]) -> None:
    """Take tiles from the common list until none is left."""
    buffer = np.empty(ROWS * COLUMNS, dtype=np.float32)
    while True:
        try:
            tile = waiting.pop()
        except IndexError:
            return
        rows, columns = tile.q1 - tile.q0, tile.n1 - tile.n0
        products = buffer[: rows * columns].reshape(rows, columns)
        np.matmul(vectors.queries[tile.q0 : tile.q1], vectors.references[tile.n0 : tile.n1].T, out=products)
        (scan_both if tile.both else scan_rows)(products, tile.q0, tile.n0, job, vectors.bounds)


@cache
def _blas() -> ThreadpoolController:
    """The threads of NumPy's BLAS; looking for libraries takes longer than a small evaluation."""
    return ThreadpoolController().select(user_api="blas")
