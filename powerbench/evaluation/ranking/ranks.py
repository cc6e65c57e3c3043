"""Ranks of the relevant items of every query: the engine as the metrics see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from powerbench.evaluation.ranking.backends import ON_CPU, Backend, count
from powerbench.evaluation.ranking.near import Limits, Lookup, Ties, add
from powerbench.evaluation.ranking.points import Distance, Embeddings, points_of, space_of
from powerbench.evaluation.ranking.structures import Integers, Job, Tally

BEYOND = 2**40
"""What stands for a count that is too large to matter."""

ENTRIES_AT_A_TIME = 2**20
"""Ranks that are handed out together."""


@dataclass(frozen=True)
class Ranks:
    """The relevant items of some queries, flat: query by query, closest first.

    queries: the cells these are, as numbers into the lookup's query cells. relevant: number of relevant items of
    each, at least 1. copies: the queries that each stands for. rows: the query each entry belongs to
    (0 .. len(relevant) - 1, ascending). order: 1 for a query's closest relevant item, 2 for the next, ...
    closer, as_close: irrelevant items that are closer, and that are at least as close; exact wherever the rank is
    within the limits, ``BEYOND`` or more where it may not be.
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
) -> Lookup:
    """Queries to be looked up in a reference, or among themselves (each without itself, removed by its index)."""
    space = space_of(distance, raw) if reference is None else space_of(distance, raw, reference)
    queries = points_of(raw, classes, space)
    if reference is None:
        return Lookup(queries, queries, np.arange(len(queries)), space, ties)
    references = points_of(reference, reference_classes, space)
    return Lookup(queries, references, np.full(len(queries), -1), space, ties)


def rank_relevant(lookup: Lookup, limits: Limits, threads: int | None, backend: Backend = ON_CPU) -> Iterator[Ranks]:
    """Rank the relevant items of every query that has one, some queries at a time."""
    for first, last in lookup.stages():
        job = lookup.job(first, last, limits)
        yield from ranks_of(lookup, job, count(lookup, job, threads, backend))


def ranks_of(lookup: Lookup, job: Job, tallies: list[Tally]) -> Iterator[Ranks]:
    """The ranks of a job's queries after all items are counted, each in one of the tallies."""
    closer, as_close, live = add(tallies)
    begin, rows = job.near.begin, len(live)
    items = np.concatenate([[0], np.cumsum(job.near.copies)])
    relevant = np.diff(items[begin])
    start = 0
    while start < rows:
        stop = max(start + 1, int(np.searchsorted(begin, begin[start] + ENTRIES_AT_A_TIME, side="right")) - 1)
        part = slice(begin[start], begin[stop])
        answerable = np.flatnonzero(relevant[start:stop] > 0)
        if len(answerable):
            entries = begin[start : stop + 1] - begin[start]
            counts = (_summed(some[part], entries, live[start:stop]) for some in (closer, as_close))
            queries = job.first + start + answerable
            yield _expanded(
                queries,
                relevant[start:stop][answerable],
                lookup.queries.cells.copies[queries],
                np.diff(entries)[answerable],
                job.near.copies[part].astype(np.int64),
                *counts,
            )
        start = stop


def _summed(counts: Integers, entries: Integers, live: Integers) -> Integers:
    """Running sums of each query's counts; BEYOND from the first entry that is no longer live."""
    sums = np.concatenate([[0], np.cumsum(counts)])
    sizes = np.diff(entries)
    summed = sums[1:] - np.repeat(sums[entries[:-1]], sizes)
    dropped = np.arange(len(counts)) - np.repeat(entries[:-1], sizes) >= np.repeat(live, sizes)
    return np.where(dropped, BEYOND, summed)


def _expanded(
    queries: Integers,
    relevant: Integers,
    copies: Integers,
    sizes: Integers,
    item_copies: Integers,
    closer: Integers,
    as_close: Integers,
) -> Ranks:
    """One entry for each relevant item, where there was one for each cell."""
    rows = np.repeat(np.repeat(np.arange(len(sizes)), sizes), item_copies)
    order = np.arange(len(rows)) - np.repeat(np.cumsum(relevant) - relevant, relevant) + 1
    return Ranks(
        queries, relevant, copies, rows, order, np.repeat(closer, item_copies), np.repeat(as_close, item_copies)
    )
