"""Counting on a device of torch's: it multiplies large tiles and finds what lies above the floors; the rest is as ever.

Products are full float32, whose error the floors allow for: TF32, bfloat16 and autocast are switched off while they
are made, whatever the process has chosen for training. Of a tile only the few pairs above a floor leave the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt

import numpy as np
import torch
from torch import Tensor

from powerbench.evaluation.ranking.kernels import count_pairs
from powerbench.evaluation.ranking.near import Lookup
from powerbench.evaluation.ranking.structures import Job, Tally
from powerbench.evaluation.ranking.tiles import Tile, tiles_of

BYTES_PER_PRODUCT = 32
"""The product, the bound beside it, and masks; and, should all pairs lie above their floors, their places."""

SMALLEST, LARGEST = 256, 16384
"""Rows and columns of a tile. Larger tiles would see floors that are out of date."""


def count_with_torch(lookup: Lookup, job: Job, threads: int | None, device: str, memory: int) -> list[Tally]:
    """Count all references for the queries of a job in tiles that take ``memory`` bytes on ``device``."""
    side = min(max(isqrt(memory // BYTES_PER_PRODUCT), SMALLEST), LARGEST)
    queries = torch.from_numpy(lookup.queries.product).to(device)
    references = queries if lookup.within_itself else torch.from_numpy(lookup.references.product).to(device)
    query_half = torch.from_numpy(lookup.queries.cells.half).to(device)
    half = torch.from_numpy(lookup.references.cells.half).to(device)
    with torch.inference_mode(), _full_float32(torch.device(device).type), _threads(threads):
        for tile in tiles_of(lookup, job.first, job.first + len(job.near.own_begin), side, side):
            products = queries[tile.q0 : tile.q1] @ references[tile.n0 : tile.n1].T
            _count(products, half[tile.n0 : tile.n1], tile, job)
            if tile.both:
                turned = Tile(tile.n0, tile.n1, tile.q0, tile.q1, False)
                _count(products.T, query_half[tile.q0 : tile.q1], turned, job)
    return [job.tally]


def _count(products: Tensor, half: Tensor, tile: Tile, job: Job) -> None:
    """Count the columns of a tile for its rows."""
    floor = _on_device(job.tally.floor, tile, job, products)
    above = products > half + floor[:, None]
    _leave_out_own(above, tile, job)
    rows, columns = above.nonzero(as_tuple=True)
    found = products[rows, columns].cpu().numpy()
    count_pairs(tile.q0 + rows.cpu().numpy(), tile.n0 + columns.cpu().numpy(), found, len(found), job)


def _leave_out_own(above: Tensor, tile: Tile, job: Job) -> None:
    """Unmark the pairs of one class, on the device: items of large classes are mostly near each other."""
    part = slice(tile.q0 - job.first, tile.q1 - job.first)
    if job.near.own_end[part].max() <= tile.n0 or tile.n1 <= job.near.own_begin[part].min():
        return
    begin, end = (_on_device(bound, tile, job, above) for bound in (job.near.own_begin, job.near.own_end))
    columns = torch.arange(tile.n0, tile.n1, device=above.device)
    above &= (columns < begin[:, None]) | (columns >= end[:, None])


def _on_device(values: np.ndarray, tile: Tile, job: Job, beside: Tensor) -> Tensor:
    """The values of a tile's rows, on the device of another tensor."""
    return torch.from_numpy(values[tile.q0 - job.first : tile.q1 - job.first]).to(beside.device)


@contextmanager
def _full_float32(device_type: str) -> Iterator[None]:
    """Multiply in float32 proper, and leave the process's choice as it was.

    Asked of each library that multiplies: the one setting for all of them cannot be read where they differ.
    """
    libraries = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [library.fp32_precision for library in libraries]
    for library in libraries:
        library.fp32_precision = "ieee"
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        for library, precision in zip(libraries, before, strict=True):
            library.fp32_precision = precision


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    """Let torch use so many threads (None: as many as ever)."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
