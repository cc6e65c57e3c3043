"""Ranks of the relevant items of every query: the engine as the metrics see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from powerbench.evaluation.ranking.backends import ON_CPU, Backend, count
from powerbench.evaluation.ranking.compiling import compiled
from powerbench.evaluation.ranking.near import Limits, Lookup, Ties, add
from powerbench.evaluation.ranking.points import Distance, Embeddings, points_of, space_of
from powerbench.evaluation.ranking.structures import Counts, Integers, Job, Tally

BEYOND = 2**40
"""What stands for a count that is too large to matter."""

ENTRIES_AT_A_TIME = 2**20
"""Ranks that are handed out together."""


@dataclass(frozen=True)
class Ranks:
    """The relevant items of some queries that may stand within the limits, and the closest of each query in any case.

    Flat: query by query, closest first.

    queries: the cells these are, as numbers into the lookup's query cells. relevant: number of relevant items of
    each, at least 1. copies: the queries that each stands for. rows: the query each entry belongs to
    (0 .. len(relevant) - 1, ascending). order: 1 for a query's closest relevant item, 2 for the next, ...
    closer, as_close: irrelevant items that are closer, and that are at least as close; ``BEYOND`` for a closest one
    whose rank is not within the limits.
    """

    queries: Integers
    relevant: Integers
    copies: Integers
    rows: Integers
    order: Integers
    closer: Integers
    as_close: Integers


def lookup_of(
    raw: Embeddings,
    classes: Integers,
    reference: Embeddings | None,
    reference_classes: Integers,
    *,
    distance: Distance,
    ties: Ties,
    groups: tuple[Integers, Integers] | None = None,
) -> Lookup:
    """Queries to be looked up in a reference, or among themselves (each without itself, removed by its index).

    groups: numbers of the parts of classes, in order of class, of queries and of references; each query is looked up
    among the references that are not of its own group.
    """
    own, other = groups or (None, None)
    space = space_of(distance, raw) if reference is None else space_of(distance, raw, reference)
    queries = points_of(raw, classes, space, own)
    references = queries if reference is None else points_of(reference, reference_classes, space, other)
    nowhere = np.full(len(queries), -1)
    own_cell = np.arange(len(queries)) if reference is None and groups is None else nowhere
    return Lookup(queries, references, own_cell, space, ties, apart=groups is not None)


def rank_relevant(lookup: Lookup, limits: Limits, threads: int | None, backend: Backend = ON_CPU) -> Iterator[Ranks]:
    """Rank the relevant items of every query that has one, some queries at a time."""
    for first, last in lookup.stages():
        job = lookup.job(first, last, limits)
        yield from ranks_of(lookup, job, count(lookup, job, threads, backend))


def ranks_of(lookup: Lookup, job: Job, tallies: list[Tally]) -> Iterator[Ranks]:
    """The ranks of a job's queries after all items are counted, each in one of the tallies."""
    counted = add(tallies)
    begin, copies = job.near.begin, job.near.copies
    items = np.concatenate([[0], np.cumsum(copies)])
    relevant = np.diff(items[begin])
    start = 0
    while start < len(relevant):
        stop = max(start + 1, int(np.searchsorted(begin, begin[start] + ENTRIES_AT_A_TIME, side="right")) - 1)
        answerable = np.flatnonzero(relevant[start:stop] > 0)
        if len(answerable):
            queries = job.first + start + answerable
            size = items[begin[stop]] - items[begin[start]]
            entries = _entries(begin, copies, *counted, start, stop, size)
            yield Ranks(queries, relevant[start:stop][answerable], lookup.queries.cells.copies[queries], *entries)
        start = stop


@compiled()
def _entries(
    begin: Integers,
    copies: Counts,
    closer: Integers,
    as_close: Integers,
    live: Integers,
    start: int,
    stop: int,
    size: int,
) -> tuple[Integers, Integers, Integers, Integers]:
    """Row, order and both running sums of counts for the relevant items of queries start .. stop, of which there are
    ``size``: those in a query's live cells, and its closest one, whose sums are BEYOND if no cell is live.
    """
    rows, order = np.empty(size, np.int64), np.empty(size, np.int64)
    all_closer, all_as_close = np.empty(size, np.int64), np.empty(size, np.int64)
    place, row = 0, 0
    for query in range(start, stop):
        first, sum_closer, sum_as_close = place, 0, 0
        for cell in range(begin[query], begin[query] + live[query]):
            sum_closer += closer[cell]
            sum_as_close += as_close[cell]
            for _ in range(copies[cell]):
                rows[place], order[place] = row, place - first + 1
                all_closer[place], all_as_close[place] = sum_closer, sum_as_close
                place += 1
        if live[query] == 0 and begin[query] < begin[query + 1]:
            rows[place], order[place], all_closer[place], all_as_close[place] = row, 1, BEYOND, BEYOND
            place += 1
        row += place > first
    return rows[:place], order[:place], all_closer[:place], all_as_close[:place]
