"""Ranks over a reference that lies in shards: on several devices, in several processes, or too large for one.

An item's rank is the sum of what is closer in each shard. Every step looks at one shard; what goes between the steps
are a few numbers for each relevant item:

1. ``near_in_shard``: the relevant items of each query in one shard, and their distances;
2. ``joined``: those of all shards, in order;
3. ``count_shard``: the irrelevant items of one shard, counted against all relevant ones;
4. ``ranks_of``: the ranks, from the sum of all counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from powerbench.evaluation.ranking.backends import ON_CPU, Backend, count
from powerbench.evaluation.ranking.kernels import set_floors, set_places
from powerbench.evaluation.ranking.near import Limits, Lookup, Ties, add
from powerbench.evaluation.ranking.points import Distance, Embeddings, points_of, space_of
from powerbench.evaluation.ranking.ranks import Ranks, ranks_of
from powerbench.evaluation.ranking.structures import Integers, Positives, Tally


@dataclass(frozen=True)
class Shard:
    """A part of the reference. own: the place of each query in it, or -1; None if it holds none of the queries."""

    embeddings: Embeddings
    classes: Integers
    own: Integers | None = None


def lookups_of(
    queries: Embeddings, classes: Integers, shards: Sequence[Shard], *, distance: Distance, ties: Ties
) -> list[Lookup]:
    """One lookup of the same queries for each shard; each could be made where its shard is, in the space of all."""
    space = space_of(distance, queries, *(shard.embeddings for shard in shards))
    points = points_of(queries, classes, space)
    taken, lookups = np.zeros(len(points), dtype=bool), []
    for shard in shards:
        references = points_of(shard.embeddings, shard.classes, space)
        own_cell = np.full(len(points), -1)
        if shard.own is not None:
            here = np.flatnonzero(shard.own >= 0)
            own_cell[points.cell_of[here]] = references.cell_of[shard.own[here]]
        own_cell[taken] = -1  # of equal queries, which stand for each other, one is left out once
        taken |= own_cell >= 0
        lookups.append(Lookup(points, references, own_cell, space, ties))
    return lookups


def near_in_shard(lookup: Lookup) -> Positives:
    """The relevant items of all queries in one shard."""
    return lookup.job(0, len(lookup.queries), Limits()).near


def joined(parts: Sequence[Positives], lookup: Lookup, limits: Limits) -> Positives:
    """The relevant items of all shards. lookup: that of any shard."""
    rows = np.concatenate([np.repeat(np.arange(len(part.begin) - 1), np.diff(part.begin)) for part in parts])
    distance = np.concatenate([part.distance for part in parts])
    order = np.lexsort((distance, rows))
    copies = np.concatenate([part.copies for part in parts])[order]
    count = len(lookup.queries)
    limit, first_limit = limits.of(np.bincount(rows[order], copies, count).astype(np.int64))
    near = parts[0]._replace(
        begin=np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))]),
        distance=distance[order],
        copies=copies,
        place=np.empty(len(order), dtype=np.int32),
        limit=limit,
        first_limit=first_limit,
    )
    set_places(near, lookup.ties == "expected", lookup.rules())
    return near


def count_shard(lookup: Lookup, near: Positives, threads: int | None, backend: Backend = ON_CPU) -> Tally:
    """The irrelevant items of one shard, counted against the relevant ones of all."""
    own_begin, own_end = lookup.own_range()
    job = lookup.counting(0, near._replace(own_begin=own_begin, own_end=own_end))
    set_floors(job)
    closer, as_close, live = add(count(lookup, job, threads, backend))
    return job.tally._replace(closer=closer.astype(np.int32), as_close=as_close.astype(np.int32), live=live)


def rank_over_shards(
    lookups: Sequence[Lookup], limits: Limits, threads: int | None = None, backend: Backend = ON_CPU
) -> Iterator[Ranks]:
    """All steps in one process, shard by shard."""
    near = joined([near_in_shard(lookup) for lookup in lookups], lookups[0], limits)
    tallies = [count_shard(lookup, near, threads, backend) for lookup in lookups]
    yield from ranks_of(lookups[0], lookups[0].counting(0, near), tallies)
