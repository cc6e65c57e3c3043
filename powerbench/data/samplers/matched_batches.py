"""Batches that are like a bigger one: the best of several candidates drawn from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from powerbench.data.samplers.class_random_sampler import ClassRandomSampler
from powerbench.data.samplers.classes import turns_per_batch
from powerbench.data.samplers.coreset_batches import Embed
from powerbench.errors import UserError

Cost = Callable[[np.ndarray], float]
"""How unlike a candidate's points (B x D) are."""


class MatchedBatches:
    """A big batch is drawn as :class:`ClassRandomSampler` does; the best of ``candidates`` parts of it is the batch.

    A candidate has ``batch_size / m`` groups: a class of the big batch (drawn with replacement), and ``m`` different
    places of that class in it.
    """

    def __init__(
        self, sampler: str, labels: np.ndarray, batch_size: int, m: int, big_batch: int, candidates: int
    ) -> None:
        self._groups = turns_per_batch(sampler, batch_size, m)
        if candidates < 1 or big_batch < max(m, 2) or batch_size < 2:
            raise UserError(
                f"{sampler}: candidates must be at least 1, batch_size at least 2, and big_batch at least m and 2 "
                f"(they are {candidates}, {batch_size} and {big_batch})"
            )
        self._m, self._big_groups, self._candidates = m, big_batch // m, candidates
        self._labels = labels
        self._drawing = ClassRandomSampler(labels, batch_size, m)

    def made(
        self, n: int, generator: np.random.Generator, embed: Embed, cost_of: Callable[[np.ndarray], Cost]
    ) -> list[np.ndarray]:
        """``n`` batches; ``cost_of`` makes the cost of candidates from the big batch's points. Ties: the first."""
        points = embed().astype(np.float64)
        batches = []
        for _ in range(n):
            big = self._drawing.draw(self._big_groups, generator)
            cost = cost_of(points[big])
            parts = [self._part(big, generator) for _ in range(self._candidates)]
            costs = [cost(points[part]) for part in parts]
            batches.append(parts[int(np.argmin(costs))])
        return batches

    def _part(self, big: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        labels = self._labels[big]
        drawn = generator.choice(np.unique(labels), self._groups)
        places = [generator.choice(np.flatnonzero(labels == label), self._m, replace=False) for label in drawn]
        part: np.ndarray = big[np.concatenate(places)]
        return part
