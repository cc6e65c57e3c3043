"""Counting on the CPU: tiles of the matrix of products, made by NumPy's BLAS and scanned while in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from powerbench.evaluation.ranking.kernels import scan_both, scan_rows
from powerbench.evaluation.ranking.leading import Leading
from powerbench.evaluation.ranking.near import Lookup, again
from powerbench.evaluation.ranking.structures import Job, Tally

ROWS, COLUMNS = 512, 1024
"""A tile of 2 MiB: about what a core's cache holds, and enough work for a product to be fast."""


class Tile(NamedTuple):
    """Query cells q0 .. q1 against reference cells n0 .. n1; ``both``: also the other way round."""

    q0: int
    q1: int
    n0: int
    n1: int
    both: bool


def tiles_of(lookup: Lookup, first: int, last: int, rows: int, columns: int) -> Iterator[Tile]:
    """Tiles that bring every query cell first .. last together with every reference cell once."""
    for q0 in range(first, last, rows):
        q1 = min(q0 + rows, last)
        one_way = [(0, first), (q0, q1), (last, len(lookup.references))]
        two_way = [(q1, last)]
        if not lookup.within_itself:
            one_way, two_way = [(0, len(lookup.references))], []
        for ranges, both in ((one_way, False), (two_way, True)):
            for begin, end in ranges:
                for n0 in range(begin, end, columns):
                    yield Tile(q0, q1, n0, min(n0 + columns, end), both)


def count_on_cpu(lookup: Lookup, job: Job, threads: int | None) -> list[Tally]:
    """Count all references for the queries of a job, with as many threads as asked for (None: as BLAS uses)."""
    controller = _blas()
    if threads is None:
        threads = max((library["num_threads"] for library in controller.info()), default=1)
    waiting = list(tiles_of(lookup, job.first, job.first + len(job.near.own_begin), ROWS, COLUMNS))[::-1]
    jobs = [job, *(again(job) for _ in range(min(threads, len(waiting)) - 1))]
    with controller.limit(limits=1):
        leading = Leading(lookup, job, sum(map(_pairs, waiting)))
        if len(jobs) == 1:
            _work(leading, job, waiting)
        else:
            with ThreadPoolExecutor(len(jobs)) as pool:
                for done in [pool.submit(_work, leading, own, waiting) for own in jobs]:
                    done.result()
    return [own.tally for own in jobs]


def _pairs(tile: Tile) -> int:
    return (tile.q1 - tile.q0) * (tile.n1 - tile.n0)


def _work(leading: Leading, job: Job, waiting: list[Tile]) -> None:
    """Take tiles from the common list until none is left."""
    buffer = np.empty(ROWS * COLUMNS, dtype=np.float32)
    while True:
        try:
            tile = waiting.pop()
        except IndexError:
            return
        rows, columns = tile.q1 - tile.q0, tile.n1 - tile.n0
        products = buffer[: rows * columns].reshape(rows, columns)
        queries, references, bounds = leading.vectors
        np.matmul(queries[tile.q0 : tile.q1], references[tile.n0 : tile.n1].T, out=products)
        (scan_both if tile.both else scan_rows)(products, tile.q0, tile.n0, job, bounds)
        leading.advance(_pairs(tile), job)


@cache
def _blas() -> ThreadpoolController:
    """The threads of NumPy's BLAS; looking for libraries takes longer than a small evaluation."""
    return ThreadpoolController().select(user_api="blas")
