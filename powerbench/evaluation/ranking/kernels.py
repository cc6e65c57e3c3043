"""The compiled loops that count: distances in float64, and scans of tiles of float32 products.

Scores are those of Euclidean distance on the centred float32 copies: for a query q and an item n,
``q . n - |n|^2 / 2`` is larger the closer n is. A float32 score only ever decides what lies farther from it than
its error bound (``reach``); the rest is settled by the squared distance in float64, from the embeddings as given.

They stay in one file: numba compiles a function anew when its own file changes, not when one that it calls does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from powerbench.evaluation.ranking.compiling import compiled
from powerbench.evaluation.ranking.structures import Cells, Counts, Floats, Integers, Job, Positives, Rules

CHUNK = 32
"""Scores that are looked at together: a chunk without any score above its bound is left at once."""

HITS = 16
"""Pairs for each column of a tile that are collected before they are counted, query by query."""

FEW = 128
"""Distances among which a place is found by looking at all of them."""

SHARED = 1024
"""Items of a class up to which all their distances are held at once, 8 MiB."""


@compiled("reassoc", "nsz")
def squared_distance(some: Any, i: int, one: float, more: Any, j: int, other: float) -> float:
    """Between two rows times their factors, summed in float64."""
    total = 0.0
    for k in range(some.shape[1]):
        difference = np.float64(some[i, k]) * one - np.float64(more[j, k]) * other
        total += difference * difference
    return total


@compiled(inlined=True)
def distance_of(queries: Cells, q: int, items: Cells, n: int) -> float:
    """The squared distance between a query cell and an item cell, from the embeddings as given."""
    i, j, one, other = queries.item[q], items.item[n], queries.factor[q], items.factor[n]
    if len(queries.double):
        return float(squared_distance(queries.double, i, one, items.double, j, other))
    return float(squared_distance(queries.single, i, one, items.single, j, other))


@compiled(inlined=True)
def reach(one: float, other: float, rule: Rules) -> float:
    """How far a float32 score of two items of these lengths may be from the exact one.

    The products' error is at most D u |q| |n|; rounding the copies, the halves and the bounds adds a few
    u (|q| + |n|)^2, the centring its own, and numbers too small for float32 the last term.
    """
    both = one + other
    return rule.coarse * one * other + 2.0**-21 * both**2 + rule.blur * (both + rule.blur) + 1e-34


@compiled()
def count_pairs(rows: Integers, columns: Integers, products: Any, found: int, job: Job) -> None:
    """Count ``found`` pairs of query cell and irrelevant item cell, given by the product of their float32 copies.

    Pairs of a query stand together, so that its relevant items stay in the cache, and are looked through once for what
    all of them leave within the limits. Arrays are taken out of the job before the loop: taking one out costs as much
    as counting does.
    """
    first, rule = job.first, job.rule
    begins, distance, ties_lose = job.near.begin, job.near.distance, rule.ties_lose
    place, limit, first_limit = job.near.place, job.near.limit, job.near.first_limit
    closer, as_close, live, seen = job.tally.closer, job.tally.as_close, job.tally.live, job.tally.seen
    counts = as_close if ties_lose else closer
    query_square, query_length = job.queries.square, job.queries.length
    square, length, copies = job.items.square, job.items.length, job.items.copies
    k = 0
    while k < found:
        q = rows[k]
        row = q - first
        begin, of_all, own_square, own_length = begins[row], 0, query_square[q], query_length[q]
        end = begin + live[row]
        farthest = distance[end - 1] if begin < end else -np.inf
        while k < found and rows[k] == q:
            n, squared = columns[k], own_square - 2 * np.float64(products[k])
            squared += square[n]
            doubt = 2 * reach(own_length, length[n], rule)
            k += 1
            if squared - doubt > farthest:
                continue
            beaten = first_beyond(distance, begin, end, squared + doubt)
            equalled = beaten
            if beaten > begin and distance[beaten - 1] >= squared - doubt:
                exact = np.sqrt(distance_of(job.queries, q, job.items, n))
                upper = exact * (1 + rule.tolerance) + rule.rounding
                lower = max(0.0, exact * (1 - rule.tolerance) - rule.rounding)
                beaten = first_beyond(distance, begin, end, upper * upper)
                equalled = first_beyond(distance, begin, beaten, np.nextafter(lower * lower, -1.0))
            if beaten < end:
                closer[beaten] += copies[n]
            if equalled < end:
                as_close[equalled] += copies[n]
            of_all += copies[n] if (equalled if ties_lose else beaten) < end else 0
        if of_all:
            now, limits = live[row], (place, limit[row], first_limit[row])
            live[row], seen[row] = still_live(begin, now, seen[row] + of_all, limits, counts)
            if live[row] != now:
                set_floor(row, job)


@compiled(inlined=True)
def first_beyond(distances: Floats, begin: int, end: int, value: float) -> int:
    """The first of the ascending ``distances`` in begin .. end that is larger than ``value``.

    Counting those that are not, several at once, is faster than steps of which each has to be guessed. Indices are
    unsigned because numba would look for negative ones, which keeps the loop from being vectorised.
    """
    low, high = np.uintp(begin), np.uintp(end)
    while high - low > np.uintp(FEW):
        middle = (low + high) >> np.uintp(1)
        if distances[middle] > value:
            high = middle
        else:
            low = middle + np.uintp(1)
    place = low
    for k in range(low, high):
        place += np.uintp(distances[k] <= value)
    return int(np.intp(place))


@compiled()
def still_live(begin: int, live: int, seen: int, near: Any, counts: Counts) -> tuple[int, int]:
    """How many of a query's ``live`` relevant items are within the limits after ``seen`` irrelevant ones were counted
    for them; and how many of those were counted for the ones that are. near: place, limit and first limit."""
    place, limit, first_limit = near
    while live > 0:
        last = begin + live - 1
        if place[last] + seen <= (first_limit if place[last] == 1 else limit):
            break
        seen -= counts[last]
        live -= 1
    return live, seen


@compiled(inlined=True)
def set_floor(row: int, job: Job) -> None:
    """Set the score below which an item is farther than all of a query's live relevant items, whatever the rounding."""
    live, q = job.tally.live[row], job.first + row
    floor = np.inf
    if live > 0:
        farthest = job.near.distance[job.near.begin[row] + live - 1]
        floor = (job.queries.square[q] - farthest) / 2 - reach(job.queries.length[q], job.rule.longest, job.rule)
    job.tally.floor[row] = floor


@compiled()
def set_floors(job: Job) -> None:
    """Set how many items were seen, which relevant items are live, and all floors, from what has been counted."""
    near, tally = job.near, job.tally
    counts = tally.as_close if job.rule.ties_lose else tally.closer
    for row in range(len(tally.live)):
        begin, seen = near.begin[row], 0
        for entry in range(begin, begin + tally.live[row]):
            seen += counts[entry]
        limits = (near.place, near.limit[row], near.first_limit[row])
        tally.live[row], tally.seen[row] = still_live(begin, tally.live[row], seen, limits, counts)
        set_floor(row, job)


@compiled()
def rows_in_double(cells: Cells, begin: int, size: int) -> Any:
    """The embeddings of the cells begin .. begin + size times their factors, in float64 (size x D)."""
    if len(cells.double):
        return scaled(cells.double, cells.item, cells.factor, begin, size)
    return scaled(cells.single, cells.item, cells.factor, begin, size)


@compiled()
def scaled(raw: Any, items: Integers, factors: Floats, begin: int, size: int) -> Any:
    """Some rows times their factors, in float64."""
    rows = np.empty((size, raw.shape[1]))
    for i in range(size):
        item, factor = items[begin + i], factors[begin + i]
        for k in range(raw.shape[1]):
            rows[i, k] = np.float64(raw[item, k]) * factor
    return rows


@compiled("reassoc", "nsz", "contract")
def distances_from(row: Floats, rows: Any, count: int, found: Any) -> None:
    """The squared distances from a row to the first ``count`` of others; four of them at once, which shares loads."""
    done = 0
    while done + 4 <= count:
        one, two, three, four = rows[done], rows[done + 1], rows[done + 2], rows[done + 3]
        a = b = c = d = 0.0
        for k in range(len(row)):
            value = row[k]
            a += (value - one[k]) ** 2
            b += (value - two[k]) ** 2
            c += (value - three[k]) ** 2
            d += (value - four[k]) ** 2
        found[done], found[done + 1], found[done + 2], found[done + 3] = a, b, c, d
        done += 4
    for j in range(done, count):
        total = 0.0
        for k in range(len(row)):
            total += (row[k] - rows[j, k]) ** 2
        found[j] = total


@compiled()
def distances_between(queries: Cells, q: int, count: int, items: Cells, begin: int, size: int, mirrored: bool) -> Any:
    """The squared distances (count x size) of query cells q .. from item cells begin ..; mirrored: the same cells."""
    between, rows = np.zeros((count, size)), rows_in_double(items, begin, size)
    others = rows if mirrored else rows_in_double(queries, q, count)
    for i in range(count):
        distances_from(others[i], rows, i if mirrored else size, between[i])
        if mirrored:
            for j in range(i):
                between[j, i] = between[i, j]
    return between


@compiled()
def in_order(distances: Floats) -> Any:
    """The order in which distances ascend. Of few, the place of each is the number of smaller ones."""
    if len(distances) > 2 * FEW:
        return np.argsort(distances)
    order = np.empty(len(distances), np.intp)
    for k in range(len(distances)):
        value, place = distances[k], np.uintp(0)
        for j in range(np.uintp(k)):
            place += np.uintp(distances[j] <= value)
        for j in range(np.uintp(k + 1), np.uintp(len(distances))):
            place += np.uintp(distances[j] < value)
        order[place] = k
    return order


@compiled()
def rank_positives(job: Job, own_cell: Integers, left_out: Any, ties_share: bool, mirrored: bool) -> None:
    """Fill in distance, copies and place of the relevant items of a job's queries.

    own_cell: the cell of ``items`` that holds the query itself, or -1. left_out: where those begin and end that are no
    relevant items although they are of its class. ties_share: equally close items have the place of the first of
    them. mirrored: the queries are the items, so that each distance serves both of its items.
    """
    near, items, last = job.near, job.items, job.first + len(job.near.own_begin)
    begins, ends = near.own_begin, near.own_end
    start, stop, between = 0, 0, np.empty((0, 0))  # query cells start .. stop have their distances in ``between``
    for row in range(len(begins)):
        q, entry, begin, size = job.first + row, near.begin[row], begins[row], ends[row] - begins[row]
        shared = size <= SHARED
        if shared and mirrored and not start <= q < stop:
            start, stop = begin, begin + size
            between = distances_between(items, begin, size, items, begin, size, True)
        elif shared and not start <= q < stop:
            start, stop, other = q, q + 1, row + 1
            while stop < min(last, q + SHARED) and begins[other] == begin and ends[other] == begin + size:
                stop, other = stop + 1, other + 1
            between = distances_between(job.queries, q, stop - q, items, begin, size, False)
        cells = np.empty(near.begin[row + 1] - entry, np.int64)
        distances = np.empty(len(cells))
        found = 0
        for n in range(begin, begin + size):
            if left_out[0][row] <= n < left_out[1][row]:
                continue
            if n != own_cell[row] or items.copies[n] > 1:
                cells[found] = n
                distances[found] = between[q - start, n - begin] if shared else distance_of(job.queries, q, items, n)
                found += 1
        for k in in_order(distances):
            near.distance[entry] = distances[k]
            near.copies[entry] = items.copies[cells[k]] - (cells[k] == own_cell[row])
            entry += 1
    set_places(near, ties_share, job.rule)


@compiled()
def set_places(near: Positives, ties_share: bool, rule: Rules) -> None:
    """Fill in the places of relevant items whose distances and copies are known."""
    for row in range(len(near.own_begin)):
        ahead, place, tied_until = 0, 1, -1.0
        for entry in range(near.begin[row], near.begin[row + 1]):
            if not ties_share or near.distance[entry] > tied_until:
                place = ahead + 1
                tied_until = (np.sqrt(near.distance[entry]) * (1 + 2 * rule.tolerance) + 2 * rule.rounding) ** 2
            near.place[entry] = place
            ahead += near.copies[entry]


@compiled("reassoc", "nsz", "contract")
def product_of(some: Any, i: int, more: Any, j: int) -> Any:
    """Of two rows, in float32."""
    total = np.float32(0)
    for k in range(some.shape[1]):
        total += some[i, k] * more[j, k]
    return total


@compiled()
def scan_rows(products: Any, q0: int, n0: int, job: Job, bounds: bool) -> None:
    """Count the columns of a tile, cells n0 .. of the items, for its rows, cells q0 .. of the queries.

    bounds: they are upper bounds of the products, which are made where a bound decides nothing.
    """
    own_begins, own_ends, floor, width = job.near.own_begin, job.near.own_end, job.tally.floor, products.shape[1]
    half, near = job.items.half[n0 : n0 + width], np.empty(width + 1, np.intp)
    queries, items = job.queries.product, job.items.product
    rows, columns, hits = room_for(HITS * width)
    found = 0
    for i in range(products.shape[0]):
        row, scores = q0 + i - job.first, products[i]
        own_begin = min(max(own_begins[row] - n0, 0), width)
        own_end = min(max(own_ends[row] - n0, 0), width)
        above = find_above(scores, half, floor[row], 0, own_begin, near, 0)
        above = find_above(scores, half, floor[row], own_end, width, near, above)
        for k in range(above):
            j = near[k]
            product = product_of(queries, q0 + i, items, n0 + j) if bounds else scores[j]
            rows[found], columns[found], hits[found] = q0 + i, n0 + j, product
            found += product > half[j] + floor[row]
        if found + width > len(rows):
            count_pairs(rows, columns, hits, found, job)
            found = 0
    count_pairs(rows, columns, hits, found, job)


@compiled()
def scan_both(products: Any, q0: int, n0: int, job: Job, bounds: bool) -> None:
    """Count a tile's columns for its rows, and its rows for its columns: both are queries, and both are items."""
    own_begins, own_ends, floor, width = job.near.own_begin, job.near.own_end, job.tally.floor, products.shape[1]
    halves, floors = job.items.half, floor[n0 - job.first : n0 - job.first + width]
    half, near, items = halves[n0 : n0 + width], np.empty(width + 1, np.intp), job.items.product
    rows, columns, hits = room_for(HITS * width)
    others, items_of_others, hits_of_others = room_for(HITS * width)
    found = found_of_others = 0
    for i in range(products.shape[0]):
        row, own_half, scores = q0 + i - job.first, halves[q0 + i], products[i]
        own_begin = min(max(own_begins[row] - n0, 0), width)
        own_end = min(max(own_ends[row] - n0, 0), width)
        above = find_above_either(scores, half, floor[row], own_half, floors, 0, own_begin, near, 0)
        above = find_above_either(scores, half, floor[row], own_half, floors, own_end, width, near, above)
        for k in range(above):
            j = near[k]
            product = product_of(items, q0 + i, items, n0 + j) if bounds else scores[j]
            rows[found], columns[found], hits[found] = q0 + i, n0 + j, product
            found += product > half[j] + floor[row]
            others[found_of_others], items_of_others[found_of_others] = n0 + j, q0 + i
            hits_of_others[found_of_others] = product
            found_of_others += product > own_half + floors[j]
        if max(found, found_of_others) + width > len(rows):
            count_pairs(rows, columns, hits, found, job)
            count_unordered(others, items_of_others, hits_of_others, found_of_others, n0, width, job)
            found = found_of_others = 0
    count_pairs(rows, columns, hits, found, job)
    count_unordered(others, items_of_others, hits_of_others, found_of_others, n0, width, job)


@compiled(inlined=True)
def room_for(pairs: int) -> Any:
    """For pairs of a query and an item and their product."""
    return np.empty(pairs, np.int64), np.empty(pairs, np.int64), np.empty(pairs, np.float32)


@compiled()
def count_unordered(
    rows: Integers, columns: Integers, products: Any, found: int, q0: int, width: int, job: Job
) -> None:
    """Count pairs of the query cells q0 .. q0 + width, in any order."""
    ends = np.zeros(width + 1, np.int64)
    for k in range(found):
        ends[rows[k] - q0 + 1] += 1
    for j in range(width):
        ends[j + 1] += ends[j]
    ordered, ordered_columns, ordered_products = room_for(found)
    for k in range(found):
        place = ends[rows[k] - q0]
        ordered[place], ordered_columns[place], ordered_products[place] = rows[k], columns[k], products[k]
        ends[rows[k] - q0] = place + 1
    count_pairs(ordered, ordered_columns, ordered_products, found, job)


@compiled()
def find_above(scores: Any, half: Any, floor: float, start: int, end: int, near: Any, found: int) -> int:
    """Write the items in start .. end that may matter to the row's query to ``near``, after those ``found`` before.

    Each item of a chunk is written, and then kept or not: ``near`` has room for one more than there are. Indices are
    unsigned because numba would look for negative ones, which keeps the loop from being vectorised.
    """
    place, stop, count = np.uintp(start), np.uintp(end), np.uintp(found)
    while place < stop:
        until, some = min(place + np.uintp(CHUNK), stop), np.int32(1)
        if until == place + np.uintp(CHUNK):
            some = np.int32(0)
            for j in range(place, place + np.uintp(CHUNK)):
                some |= np.int32(scores[j] > half[j] + floor)
        if some:
            for j in range(place, until):
                near[count] = j
                count += np.uintp(scores[j] > half[j] + floor)
        place = until
    return int(np.intp(count))


@compiled()
def find_above_either(
    scores: Any, half: Any, floor: float, own_half: float, floors: Any, start: int, end: int, near: Any, found: int
) -> int:
    """The same, or queries to which the row's item may matter, which have floors of their own."""
    place, stop, count = np.uintp(start), np.uintp(end), np.uintp(found)
    while place < stop:
        until, some = min(place + np.uintp(CHUNK), stop), np.int32(1)
        if until == place + np.uintp(CHUNK):
            some = np.int32(0)
            for j in range(place, place + np.uintp(CHUNK)):
                some |= np.int32(scores[j] > min(half[j] + floor, own_half + floors[j]))
        if some:
            for j in range(place, until):
                near[count] = j
                count += np.uintp(scores[j] > min(half[j] + floor, own_half + floors[j]))
        place = until
    return int(np.intp(count))
