"""Counting on a device of torch's: it multiplies large tiles and finds what lies above the floors; the rest is as ever.

Products are full float32 (TF32 is switched off while they are made), whose error the floors allow for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt

import numpy as np
import torch

from powerbench.evaluation.ranking.kernels import count_pairs
from powerbench.evaluation.ranking.near import Lookup
from powerbench.evaluation.ranking.structures import Job, Tally
from powerbench.evaluation.ranking.tiles import Tile, tiles_of

BYTES_PER_PRODUCT = 16
"""The product, two bounds beside it, and masks."""

SMALLEST, LARGEST = 256, 16384
"""Rows and columns of a tile. Larger tiles would see floors that are out of date."""


def count_with_torch(lookup: Lookup, job: Job, device: str, memory: int) -> list[Tally]:
    """Count all references for the queries of a job in tiles that take ``memory`` bytes on ``device``."""
    side = min(max(isqrt(memory // BYTES_PER_PRODUCT), SMALLEST), LARGEST)
    queries = torch.from_numpy(lookup.queries.product).to(device)
    references = queries if lookup.within_itself else torch.from_numpy(lookup.references.product).to(device)
    query_half = torch.from_numpy(lookup.queries.cells.half).to(device)
    half = torch.from_numpy(lookup.references.cells.half).to(device)
    with torch.inference_mode(), _full_float32():
        for tile in tiles_of(lookup, job.first, job.first + len(job.near.own_begin), side, side):
            products = queries[tile.q0 : tile.q1] @ references[tile.n0 : tile.n1].T
            floor = _floors(job, tile.q0, tile.q1, device)
            _count(products > half[tile.n0 : tile.n1] + floor[:, None], products, tile, job)
            if tile.both:
                floor = _floors(job, tile.n0, tile.n1, device)
                above = products > query_half[tile.q0 : tile.q1, None] + floor
                _count(above.T, products.T, Tile(tile.n0, tile.n1, tile.q0, tile.q1, False), job)
    return [job.tally]


def _floors(job: Job, first: int, last: int, device: str) -> torch.Tensor:
    return torch.from_numpy(job.tally.floor[first - job.first : last - job.first]).to(device)


def _count(above: torch.Tensor, products: torch.Tensor, tile: Tile, job: Job) -> None:
    """Count the marked pairs of a tile, except those of one class."""
    rows, columns = above.nonzero(as_tuple=True)
    found = products[rows, columns].cpu().numpy()
    q, n = tile.q0 + rows.cpu().numpy(), tile.n0 + columns.cpu().numpy()
    own = (job.near.own_begin[q - job.first] <= n) & (n < job.near.own_end[q - job.first])
    count_pairs(q[~own], n[~own], found[~own], int(np.count_nonzero(~own)), job)


@contextmanager
def _full_float32() -> Iterator[None]:
    """Switch TF32 off, and back to what it was."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
