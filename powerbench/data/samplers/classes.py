"""What samplers that draw by class share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from powerbench.errors import UserError


def turns_per_batch(sampler: str, batch_size: int, m: int) -> int:
    """How many groups of ``m`` items make up a batch. Raises UserError if that is no whole, positive number."""
    if m < 1 or batch_size < 1 or batch_size % m:
        raise UserError(f"{sampler}: batch_size ({batch_size}) must be a positive multiple of m ({m})")
    return batch_size // m


def items_by_class(sampler: str, labels: np.ndarray) -> list[np.ndarray]:
    """The positions of each class's items, classes in ascending order. Raises UserError if there are no items."""
    if len(labels) == 0:
        raise UserError(f"{sampler}: there are no items to draw from")
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return np.split(np.argsort(classes, kind="stable"), np.cumsum(sizes)[:-1])


def some_of(items: np.ndarray, count: int, generator: np.random.Generator) -> list[int]:
    """``count`` of the items at random: all different if there are enough, else drawn with replacement."""
    drawn: list[int] = generator.choice(items, count, replace=len(items) < count).tolist()
    return drawn


def as_batch(items: Sequence[int]) -> np.ndarray:
    """Positions as the loop wants them."""
    return np.array(items, dtype=np.int64)
