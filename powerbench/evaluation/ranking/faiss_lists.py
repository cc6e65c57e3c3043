"""Counting from faiss's lists of nearest neighbours; queries for which they end too early are counted anew.

A list settles a query if all its relevant items that are still of interest are closer, for certain, than its end.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from powerbench.evaluation.ranking.kernels import count_pairs, scan_rows
from powerbench.evaluation.ranking.near import Lookup
from powerbench.evaluation.ranking.structures import Integers, Job, Tally

QUERIES_AT_A_TIME = 4096
LONGEST_LIST = 2048
"""What faiss can make on a GPU."""

SPARE = 8
"""Neighbours beyond the limits, so that ties at the end of a list seldom leave it open."""

NUMBERS_AT_A_TIME = 2**22
"""Of the embeddings of neighbours, which are gathered to be multiplied: 16 MiB."""


def count_with_faiss(lookup: Lookup, job: Job, threads: int | None, device: str) -> list[Tally]:
    """Count the references that matter for the queries of a job."""
    if not len(lookup.references):
        return [job.tally]
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads or before)
    try:
        index = _index(lookup, device)
        for start in range(0, len(job.near.own_begin), QUERIES_AT_A_TIME):
            _count_some(lookup, job, np.arange(start, min(start + QUERIES_AT_A_TIME, len(job.near.own_begin))), index)
    finally:
        faiss.omp_set_num_threads(before)
    return [job.tally]


def _index(lookup: Lookup, device: str) -> Any:
    index: Any = faiss.IndexFlatL2(lookup.references.product.shape[1])
    if device.startswith("cuda") and hasattr(faiss, "StandardGpuResources"):
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), int(device.partition(":")[2] or 0), index)
    index.add(lookup.references.product)
    return index


def _count_some(lookup: Lookup, job: Job, rows: Integers, index: Any) -> None:
    near, tally = job.near, job.tally
    wanted = int(np.minimum(near.first_limit[rows], LONGEST_LIST).max()) + SPARE
    length = min(wanted, LONGEST_LIST, len(lookup.references))
    found = index.search(lookup.queries.product[job.first + rows], length)[1].astype(np.int64)
    q, n = np.repeat(job.first + rows, length), found.ravel()
    products = _products(lookup, job.first + rows, found)
    own = (near.own_begin[q - job.first] <= n) & (n < near.own_end[q - job.first])
    before = tally.live[rows], tally.seen[rows], tally.floor[rows]
    count_pairs(q[~own], n[~own], products[~own], int(np.count_nonzero(~own)), job)
    if length == len(lookup.references):
        return
    lowest = (products.reshape(found.shape) - lookup.references.cells.half[found]).min(axis=1)
    longest = lookup.queries.cells.length[job.first + rows] + job.rule.longest
    error = (job.rule.coarse + 2.0**-20) * longest**2  # of the distances by which faiss orders its lists
    for place in np.flatnonzero(lowest + 2 * error > tally.floor[rows]):
        row = int(rows[place])
        tally.live[row], tally.seen[row], tally.floor[row] = (part[place] for part in before)
        _count_anew(lookup, job, row)


def _products(lookup: Lookup, queries: Integers, found: Integers) -> NDArray[np.float32]:
    """Of each query with its neighbours (``found``, queries x length); flat."""
    query, reference = lookup.queries.product, lookup.references.product
    products = np.empty(found.shape, dtype=np.float32)
    step = max(1, NUMBERS_AT_A_TIME // (found.shape[1] * query.shape[1]))
    for start in range(0, len(queries), step):
        some = slice(start, start + step)
        products[some] = (reference[found[some]] @ query[queries[some], :, None])[..., 0]
    return products.ravel()


def _count_anew(lookup: Lookup, job: Job, row: int) -> None:
    """Forget what was counted for a query, and count it against everything."""
    part = slice(job.near.begin[row], job.near.begin[row + 1])
    job.tally.closer[part] = job.tally.as_close[part] = 0
    q = job.first + row
    products = lookup.queries.product[q : q + 1] @ lookup.references.product.T
    scan_rows(products, q, 0, job, False)
