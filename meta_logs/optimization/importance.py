"""Which parameters mattered: variance-based sensitivity of the model over the searched space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meta_logs.optimization.axes import Axis
from meta_logs.optimization.surrogate import Array, Surrogate

_SAMPLES = 4096


@dataclass(frozen=True)
class Importance:
    """A parameter's share of the variance of the model's mean, in [0, 1].

    alone: what changing it alone does (first-order Sobol index). total: with its interactions (total index).
    """

    axis: Axis
    alone: float
    total: float


def importances(axes: Sequence[Axis], surrogate: Surrogate, scale: Array) -> tuple[Importance, ...]:
    """The Sobol indices of each parameter, for values spread evenly over the space as it was searched.

    ``scale``: what one place of each axis is to the model. Estimators of Saltelli et al. (2010) and Jansen (1999), on
    the same random points each time.
    """
    count = len(axes)
    unit = np.random.default_rng(0).random((_SAMPLES, 2 * count))
    first, second = (_places(axes, part) * scale for part in (unit[:, :count], unit[:, count:]))
    at_first, at_second = surrogate.mean(first), surrogate.mean(second)
    both = np.concatenate([at_first, at_second])
    centre, variance = float(both.mean()), float(both.var())
    found = []
    for number, axis in enumerate(axes):
        mixed = first.copy()
        mixed[:, number] = second[:, number]
        at_mixed = surrogate.mean(mixed)
        alone = float(((at_second - centre) * (at_mixed - at_first)).mean()) / variance if variance else 0.0
        total = float(((at_first - at_mixed) ** 2).mean()) / (2 * variance) if variance else 0.0
        total = min(total, 1.0)
        found.append(Importance(axis, min(max(alone, 0.0), total), total))  # estimates: the order is certain
    return tuple(found)


def _places(axes: Sequence[Axis], unit: Array) -> Array:
    """Places in the space from coordinates in [0, 1): every value of a list is as likely as any other."""
    columns = [
        np.floor(unit[:, number] * len(axis.values)) if axis.values else unit[:, number]
        for number, axis in enumerate(axes)
    ]
    return np.stack(columns, axis=1)
