"""Results of fold runs that were never trained."""

from __future__ import annotations

import math

from powerbench.jobs import Failure, TrainResult


def result(
    *, value: float = 0.5, seconds: float = 1.0, environment=None, failure: Failure | None = None
) -> TrainResult:
    """A fold run that ended with ``value``, or in ``failure``."""
    best = math.nan if failure else value
    return TrainResult("fold", "split", 2, best, 4, 12, seconds, seconds, (), (), environment or {}, failure)
