"""Queries that must not be looked up among all references: each group of them with its own references."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def apart_groups(labels: Rows, apart: Rows, query: Rows, reference: Rows | None) -> Iterator[tuple[Rows, Rows]]:
    """Answerable queries with the references they may be looked up among.

    labels, apart: the class and the second label (the camera) of each row of the embeddings. query, reference: rows;
    without references the queries are looked up among each other. A reference that agrees with a query in both labels
    is left out for it, as re-identification leaves out the same person seen by the same camera; a query itself is
    always such a one. Queries that agree in both labels share their references; those without a relevant one are
    left out.
    """
    found = query if reference is None else reference
    pairs, group = np.unique(np.stack([labels[query], apart[query]]), axis=1, return_inverse=True)
    for number, (label, second) in enumerate(pairs.T):
        kept = found[(labels[found] != label) | (apart[found] != second)]
        if (labels[kept] == label).any():
            yield query[group.ravel() == number], kept


def mean_values(measured: Sequence[tuple[Mapping[str, float], int]], metrics: Sequence[str]) -> dict[str, float]:
    """The means of several measurements, weighted by how many queries each stands for; NaN if there are none."""
    total = sum(count for _, count in measured)
    if not total:
        return dict.fromkeys(metrics, math.nan)
    names = measured[0][0]
    return {name: math.fsum(values[name] * count for values, count in measured) / total for name in names}
