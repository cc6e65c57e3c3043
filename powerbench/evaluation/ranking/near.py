"""The relevant items of some queries and their distances: what everything else is counted against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from powerbench.evaluation.ranking.kernels import rank_positives, set_floors
from powerbench.evaluation.ranking.points import Points, Space
from powerbench.evaluation.ranking.structures import Integers, Job, Positives, Rules, Tally

Ties = Literal["pessimistic", "optimistic", "expected"]

UNLIMITED = 2**60

POSITIVES_AT_A_TIME = 2**24
"""Pairs of query and relevant item that are held in memory at once: 24 bytes each, and 8 more for each thread."""


@dataclass(frozen=True)
class Limits:
    """Up to which rank the relevant items of a query with R of them are of interest.

    beyond_relevant: up to R + this, None for no such limit. k: at least up to this rank. first_k: the closest
    relevant item up to this rank.
    """

    beyond_relevant: int | None = 0
    k: int = 0
    first_k: int = 1

    def of(self, relevant: Integers) -> tuple[Integers, Integers]:
        """The limits of queries by their number of relevant items: for all of these, and for the closest one."""
        limit = np.full(len(relevant), self.k)
        if self.beyond_relevant is not None:
            limit = np.maximum(limit, relevant + self.beyond_relevant)
        return limit, np.maximum(limit, self.first_k)


@dataclass(frozen=True)
class Lookup:
    """Query cells to be looked up among reference cells.

    own_cell: the reference cell that holds the query itself, or -1. Where ``references`` is ``queries``, each
    product serves both of its items. apart: references of the query's own group are left out for it.
    """

    queries: Points
    references: Points
    own_cell: Integers
    space: Space
    ties: Ties
    apart: bool = False

    @property
    def within_itself(self) -> bool:
        """Whether the queries are the references."""
        return self.queries is self.references

    def relevant(self) -> Integers:
        """The number of relevant items of each query cell."""
        before = np.concatenate([[0], np.cumsum(self.references.cells.copies)])
        sizes = [before[end] - before[begin] for begin, end in (self.own_range(), self.left_out())]
        relevant: Integers = sizes[0] - sizes[1] - (self.own_cell >= 0)
        return relevant

    def entries(self) -> Integers:
        """The number of relevant cells of each query cell."""
        alone = self.own_cell >= 0
        alone[alone] = self.references.cells.copies[self.own_cell[alone]] == 1
        sizes = [end - begin for begin, end in (self.own_range(), self.left_out())]
        entries: Integers = sizes[0] - sizes[1] - alone
        return entries

    def stages(self) -> Iterator[tuple[int, int]]:
        """Ranges of query cells whose relevant cells fit into memory together."""
        ends = np.cumsum(self.entries())
        first = 0
        while first < len(ends):
            before = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, before + POSITIVES_AT_A_TIME, side="right")))
            yield first, last
            first = last

    def job(self, first: int, last: int, limits: Limits) -> Job:
        """Query cells first .. last with their relevant items ranked, and nothing counted yet."""
        entries = self.entries()[first:last]
        begin, end = (bound[first:last] for bound in self.own_range())
        size = int(entries.sum())
        near = Positives(
            begin=np.concatenate([[0], np.cumsum(entries)]),
            distance=np.empty(size),
            copies=np.empty(size, dtype=np.int32),
            place=np.empty(size, dtype=np.int32),
            own_begin=begin,
            own_end=end,
            limit=(found := limits.of(self.relevant()[first:last]))[0],
            first_limit=found[1],
        )
        job = self.counting(first, near)
        left_out = tuple(bound[first:last] for bound in self.left_out())
        rank_positives(job, self.own_cell[first:last], left_out, self.ties == "expected", self.within_itself)
        set_floors(job)
        return job

    def counting(self, first: int, near: Positives) -> Job:
        """A job whose relevant items are known; nothing is counted yet."""
        rows = len(near.own_begin)
        tally = Tally(
            closer=np.zeros(len(near.distance), dtype=np.int32),
            as_close=np.zeros(len(near.distance), dtype=np.int32),
            live=np.diff(near.begin),
            seen=np.zeros(rows, dtype=np.int64),
            floor=np.empty(rows, dtype=np.float32),
        )
        return Job(first, self.queries.cells, self.references.cells, near, tally, self.rules())

    def rules(self) -> Rules:
        """When distances of these embeddings are told apart."""
        width = self.references.product.shape[1]
        longest, longest_query = (float(some.cells.length.max(initial=0)) for some in (self.references, self.queries))
        blur = 2.0**-50 * (float(np.linalg.norm(self.space.centre)) + max(longest, longest_query))
        return Rules(
            ties_lose=self.ties == "pessimistic",
            rounding=self.space.rounding,
            tolerance=2 * (width + 4) * float(np.finfo(np.float64).eps),
            coarse=(width + 2) * 2.0**-24,
            blur=blur + self.space.rounding,
            longest=longest,
        )

    def own_range(self) -> tuple[Integers, Integers]:
        """Where the class of each query cell lies among the reference cells: begin and end."""
        return _ranges(self.queries.classes, self.references.classes)

    def left_out(self) -> tuple[Integers, Integers]:
        """Where the cells of its class that are left out for each query cell lie: begin and end."""
        if not self.apart:
            return np.zeros_like(self.own_cell), np.zeros_like(self.own_cell)
        return _ranges(self.queries.groups, self.references.groups)


def _ranges(some: Integers, ascending: Integers) -> tuple[Integers, Integers]:
    """Where each number lies among ascending ones: begin and end."""
    return np.searchsorted(ascending, some, side="left"), np.searchsorted(ascending, some, side="right")


def again(job: Job) -> Job:
    """The same job with a tally of its own."""
    parts = (np.copy(part) for part in job.tally)
    return job._replace(tally=Tally._make(parts))


def merged(job: Job, jobs: Sequence[Job]) -> Job:
    """The job with what was counted in ``jobs``, over different items, since they began as ``job`` is."""
    closer, as_close, live = add([own.tally for own in jobs])
    twice = len(jobs) - 1
    tally = Tally(
        closer=(closer - twice * job.tally.closer).astype(np.int32),
        as_close=(as_close - twice * job.tally.as_close).astype(np.int32),
        live=live,
        seen=np.zeros_like(job.tally.seen),
        floor=np.empty_like(job.tally.floor),
    )
    whole = job._replace(tally=tally)
    set_floors(whole)
    return whole


def add(tallies: Sequence[Tally]) -> tuple[Integers, Integers, Integers]:
    """The counts of tallies over different items: closer, as close, and what is still live in all of them."""
    closer = sum((tally.closer.astype(np.int64) for tally in tallies[1:]), tallies[0].closer.astype(np.int64))
    as_close = sum((tally.as_close.astype(np.int64) for tally in tallies[1:]), tallies[0].as_close.astype(np.int64))
    return closer, as_close, np.min([tally.live for tally in tallies], axis=0)
