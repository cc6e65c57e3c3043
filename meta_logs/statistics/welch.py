"""The difference of two means over independent trainings, without assuming that they scatter alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from powerbench.store.intervals import mean_and_sem, t_quantile


@dataclass(frozen=True)
class Difference:
    """A difference of means with its interval."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interval's width."""
        return self.high - self.mean

    @property
    def contains_zero(self) -> bool:
        """Whether the two means may be equal, for all that the interval says."""
        return self.low <= 0 <= self.high


def welch(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Difference | None:
    """``mean(first) - mean(second)`` with Welch's two-sided t interval.

    Degrees of freedom by Welch (1947) and Satterthwaite (1946). Where neither side scatters, the interval is the
    difference itself. ``None`` with fewer than two values on a side, or where one is not finite.
    """
    if not first or not second:
        return None
    (mean_1, sem_1), (mean_2, sem_2) = mean_and_sem(first), mean_and_sem(second)
    if sem_1 is None or sem_2 is None:
        return None
    difference, variance = mean_1 - mean_2, sem_1**2 + sem_2**2
    if variance == 0:
        return Difference(difference, difference, difference)
    share = sem_1**2 / variance
    degrees = 1 / (share**2 / (len(first) - 1) + (1 - share) ** 2 / (len(second) - 1))
    half = t_quantile(confidence, degrees) * variance**0.5
    return Difference(difference, difference - half, difference + half)
