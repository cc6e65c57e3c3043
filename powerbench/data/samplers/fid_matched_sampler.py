"""Batches whose embeddings have the mean and covariance of a bigger batch."""

from __future__ import annotations

import numpy as np

from powerbench.data.samplers.coreset_batches import Embed
from powerbench.data.samplers.matched_batches import Cost, MatchedBatches


class FIDMatchedSampler:
    """Each batch is the one of ``candidates`` with the smallest Fréchet distance to a big batch it is a part of.

    The big batch is ``big_batch / m`` groups of ``m`` items of a class, all with replacement; a candidate is
    ``batch_size / m`` groups of it, classes with replacement, places within a class without. An item may come more
    than once. Embeddings are computed anew for each plan (an epoch's batches).

    labels: one label an item. batch_size: items a batch, a multiple of ``m``.

    Source: ``fid_batchmatch`` of "Revisiting Training Strategies and Generalization Performance in Deep Metric
    Learning" (Roth et al., 2020), whose code cannot be selected. Its 1e-8 on the covariances' diagonals is left out:
    the root needs none here.
    """

    def __init__(
        self, labels: np.ndarray, batch_size: int, m: int = 2, big_batch: int = 512, candidates: int = 10
    ) -> None:
        self._batches = MatchedBatches("FIDMatchedSampler", labels, batch_size, m, big_batch, candidates)

    def plan(self, n: int, generator: np.random.Generator, embed: Embed) -> list[np.ndarray]:
        """The next ``n`` batches, as positions into the labels: a function of the generator and the embeddings."""
        return self._batches.made(n, generator, embed, frechet_distance_to)


def frechet_distance_to(points: np.ndarray) -> Cost:
    """The function that gives the Fréchet distance of normal distributions fitted to other points and to these.

    ||difference of means||^2 + tr(A) + tr(B) - 2 tr((A B)^(1/2)), with covariances A and B (n - 1 in the divisor).
    The last trace is the sum of the singular values of A^(1/2) B^(1/2).
    """
    mean = points.mean(axis=0)
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(points.T)))
    variances = variances.clip(min=0)
    root = axes * np.sqrt(variances)

    def distance(others: np.ndarray) -> float:
        offsets = (others - others.mean(axis=0)) / np.sqrt(len(others) - 1)
        shared = np.linalg.svd(offsets @ root, compute_uv=False).sum()
        return float(((others.mean(axis=0) - mean) ** 2).sum() + variances.sum() + (offsets**2).sum() - 2 * shared)

    return distance
