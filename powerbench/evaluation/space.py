"""What the embedding space looks like: its spectrum, distances within and between classes. See docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from powerbench.evaluation.clustering import of_length_one
from powerbench.evaluation.names import Metric
from powerbench.evaluation.ranking.points import Embeddings
from powerbench.evaluation.ranking.structures import Floats, Integers

DISTANCES = ("dists_intra", "dists_inter", "dists_intra_over_inter")
ROWS_AT_A_TIME = 1024
"""Pairs of items are looked at in squares of so many: 8 MiB of distances."""

UNIFORMITY_SCALE = 2.0
"""t of Wang and Isola's uniformity."""


def space_values(metrics: Iterable[Metric], embeddings: Embeddings, classes: Integers) -> dict[Metric, float]:
    """Measures that describe N x D embeddings; what several of them need is computed once."""
    asked = list(metrics)
    bases = {metric.base for metric in asked}
    values: dict[str, float] = {}
    if bases & set(DISTANCES):
        intra, inter = class_distances(embeddings, classes)
        values |= zip(DISTANCES, (intra, inter, intra / max(inter, 1e-8)), strict=True)
    if "uniformity" in bases:
        values["uniformity"] = uniformity(embeddings)
    if "alignment" in bases:
        values["alignment"] = alignment(embeddings, classes)
    singular = singular_values(embeddings) if "rho_spectrum_at" in bases else np.empty(0)
    return {metric: rho_spectrum(singular, metric.k) if metric.k else values[metric.base] for metric in asked}


def singular_values(embeddings: Embeddings) -> Floats:
    """Of the N x D embeddings as they are (not centred), in float64, largest first."""
    triangle = np.linalg.qr(np.asarray(embeddings, dtype=np.float64), mode="r")
    return np.asarray(np.linalg.svd(triangle, compute_uv=False))


def spectrum(embeddings: Embeddings) -> Floats:
    """The singular values of the embeddings (N x D) as shares of their sum, largest first: ``rho_spectrum@0``.

    All zero: an empty array.
    """
    return shares_of(singular_values(embeddings))


def shares_of(singular: Floats) -> Floats:
    """Singular values as shares of their sum; an empty array if it is 0."""
    total = singular.sum()
    return np.asarray(singular / total) if total > 0 else np.empty(0)


def rho_spectrum(singular: Floats, mode: int) -> float:
    """How far the singular values without the |mode| - 1 largest are from uniform (Roth et al. 2020), in nats.

    mode > 0: KL(uniform || spectrum), infinite where a value is 0; mode < 0: KL(spectrum || uniform). NaN if
    nothing is left of the spectrum. ValueError for 0, which is the spectrum itself.
    """
    if mode == 0:
        raise ValueError("rho_spectrum@0 is the spectrum itself: use spectrum()")
    shares = shares_of(singular[abs(mode) - 1 :])
    if len(shares) == 0:
        return float("nan")
    if mode > 0:
        return float(-np.log(shares * len(shares)).mean()) if shares.min() > 0 else float("inf")
    some = shares[shares > 0]
    return float((some * np.log(some * len(shares))).sum())


def class_distances(embeddings: Embeddings, classes: Integers) -> tuple[float, float]:
    """Mean cosine distance of two items of a class, averaged over classes; and of two classes' mean directions.

    Classes of one item have no distance within; NaN if there is no class of two, or are no two classes.
    """
    rows = of_length_one(embeddings)
    sums, counts = _class_sums(rows, classes), np.bincount(classes)
    squares = np.bincount(classes, np.einsum("ij,ij->i", rows, rows))
    many = counts > 1
    pairs = counts[many] * (counts[many] - 1)
    similar = (np.einsum("ij,ij->i", sums[many], sums[many]) - squares[many]) / pairs
    intra = 1 - float(similar.mean()) if many.any() else float("nan")
    directions = of_length_one(sums[counts > 0])
    number = len(directions)
    total = directions.sum(axis=0)
    between = float(total @ total) - float((directions**2).sum())
    return intra, 1 - between / (number * (number - 1)) if number > 1 else float("nan")


def alignment(embeddings: Embeddings, classes: Integers) -> float:
    """Mean squared distance of two items of one class, over all such pairs, rows scaled to length 1."""
    rows = of_length_one(embeddings)
    sums, counts = _class_sums(rows, classes), np.bincount(classes)
    pairs = float((counts * (counts - 1.0)).sum())
    squares = np.bincount(classes, np.einsum("ij,ij->i", rows, rows))
    total = float((2 * counts * squares - 2 * np.einsum("ij,ij->i", sums, sums)).sum())
    return max(0.0, total / pairs) if pairs else float("nan")


def uniformity(embeddings: Embeddings) -> float:
    """Logarithm of the mean of exp(-2 d^2) over all pairs of items, rows scaled to length 1 (Wang and Isola 2020).

    Costs N^2 D multiplications in float64; beside a float64 copy of the rows, memory does not grow with N.
    """
    rows = of_length_one(embeddings)
    count, total = len(rows), 0.0
    if count < 2:
        return float("nan")
    squares = np.einsum("ij,ij->i", rows, rows)
    for start in range(0, count, ROWS_AT_A_TIME):
        for other in range(start, count, ROWS_AT_A_TIME):
            some, more = slice(start, start + ROWS_AT_A_TIME), slice(other, other + ROWS_AT_A_TIME)
            squared = squares[some, None] + squares[more] - 2 * (rows[some] @ rows[more].T)
            near = np.exp(-UNIFORMITY_SCALE * np.maximum(squared, 0))
            total += float((np.triu(near, 1) if other == start else near).sum())
    return float(np.log(total / (count * (count - 1) / 2)))


def _class_sums(rows: Floats, classes: Integers) -> Floats:
    order = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[order], np.arange(int(classes.max(initial=-1)) + 1))
    return np.add.reduceat(rows[order], starts, axis=0) if len(starts) else np.empty((0, rows.shape[1]))
