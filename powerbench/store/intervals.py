"""Means with confidence intervals over independent trainings: Student's t, as in "A Metric Learning Reality Check"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean of ``n`` values, its standard error, and the interval; ``None`` where ``n`` is below two."""

    n: int
    mean: float
    sem: float | None
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half the interval's width."""
        return None if self.high is None else self.high - self.mean


def mean_and_sem(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the standard error with ``ddof=1`` (that of ``scipy.stats.sem``); no error of a single value.

    Raises :class:`ValueError` without any value.
    """
    if not values:
        raise ValueError("no values to average")
    array = np.asarray(values, dtype=np.float64)
    if len(values) == 1 or not np.isfinite(array).all():
        return float(array.mean()), None
    if np.ptp(array) == 0:  # exactly: a mean of equal numbers may be rounded to another one
        return float(array[0]), 0.0
    return float(array.mean()), float(array.std(ddof=1) / math.sqrt(len(values)))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of ``values`` with its two-sided Student t interval (``len(values) - 1`` degrees of freedom)."""
    mean, sem = mean_and_sem(values)
    if sem is None:
        return Interval(len(values), mean, None, None, None)
    half = t_quantile(confidence, len(values) - 1) * sem
    return Interval(len(values), mean, sem, mean - half, mean + half)


def t_quantile(confidence: float, degrees: float) -> float:
    """How many standard errors a two-sided interval reaches to either side."""
    from scipy.special import stdtrit  # scipy.stats takes three times as long to import

    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, not {confidence}")
    return float(stdtrit(degrees, 0.5 + confidence / 2))
