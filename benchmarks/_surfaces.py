"""Response surfaces of published searches as objectives: a value, folds of unequal difficulty, and noise.

Others like them are derived from each: ``_bent``, its structure drawn towards the upper ends; ``_cut``, its best on a
bound of the first parameter that still has room beside it; ``_turned``, two parameters by 45 degrees, so that ridges
along an axis run across.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from powerbench.search import Outcome, Parameter, Space
from powerbench.search.space import canonical
from powerbench.seeding import numpy_generator

FILE = Path(__file__).with_name("published_searches.json")
FOLDS = 4
FOLD_SD = 0.06
"""Spread of the folds' difficulty, shared by all trials: published standard errors over 4 folds are 0.017 to 0.044."""


@dataclass(frozen=True)
class Surface:
    """The mean of the metric on a grid over the space, one or two parameters, evenly spaced on each one's scale."""

    name: str
    space: Space
    mean: np.ndarray
    published: tuple[dict, ...]
    moved: Callable[[np.ndarray], np.ndarray] | None = None
    """Where a point of the unit cube lies on the grid; none: there itself."""

    @property
    def best(self) -> float:
        return float(self.mean.max())

    def value(self, point: dict) -> float:
        """The noise-free value: linear between the four (two) grid points around; at the edge beyond it."""
        units = np.array([_unit(parameter, point[parameter.path]) for parameter in self.space.parameters])
        if self.moved is not None:
            units = np.clip(self.moved(units), 0, 1)
        grid = self.mean
        for unit, size in zip(units, reversed(grid.shape), strict=True):  # the last axis is the first parameter
            grid = grid @ _linear(unit, size)
        return float(grid)


@dataclass(frozen=True)
class Noisy:
    """What a search sees of a surface: the mean over folds, whose noise is a function of the seed and of the point.

    ``noise`` is the standard deviation of a trial's mean. ``told`` says what the optimiser hears of it: ``nothing``,
    the standard error over ``folds`` (mostly their difficulty, as in a real search), or the ``sd`` itself.
    """

    surface: Surface
    noise: float
    told: str
    seed: int

    def folds(self, point: dict) -> np.ndarray:
        difficulty = numpy_generator(seed=self.seed, purpose="fold difficulty").standard_normal(FOLDS)
        noise = numpy_generator(seed=self.seed, point=canonical(point), purpose="noise").standard_normal(FOLDS)
        shared = FOLD_SD * (difficulty - difficulty.mean())
        return self.surface.value(point) + shared + self.noise * np.sqrt(FOLDS) * noise

    def __call__(self, point: dict) -> Outcome:
        folds = self.folds(point)
        sem = {"nothing": None, "folds": float(folds.std(ddof=1) / np.sqrt(FOLDS)), "sd": self.noise}[self.told]
        return Outcome(float(folds.mean()), sem)


@cache
def surfaces() -> dict[str, Surface]:
    """All published surfaces by name, then those derived from them."""
    facts = json.loads(FILE.read_text())["surfaces"]
    published = {name: _surface(name, **each) for name, each in facts.items()}
    derived = {each.name: each for surface in published.values() for each in _derived(surface)}
    return published | derived


def _derived(surface: Surface) -> list[Surface]:
    """They have the grid's best too, and no published runs."""
    moves = {"bent": np.square, "cut": _cut(_best_unit(surface))}
    if surface.mean.ndim == 2:
        moves["turned"] = _turned
    return [replace(surface, name=f"{surface.name}_{word}", moved=moved, published=()) for word, moved in moves.items()]


def _best_unit(surface: Surface) -> np.ndarray:
    place = np.unravel_index(surface.mean.argmax(), surface.mean.shape)
    return np.array(place[::-1]) / (np.array(surface.mean.shape[::-1]) - 1)


def _cut(best: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Cuts off the smaller part of the first parameter whose best is inside its range."""
    axis = int(np.flatnonzero((best > 0) & (best < 1))[0])
    at = best[axis]

    def moved(units: np.ndarray) -> np.ndarray:
        units = units.copy()
        units[axis] = at * units[axis] if at > 0.5 else at + (1 - at) * units[axis]
        return units

    return moved


def _turned(units: np.ndarray) -> np.ndarray:
    """By 45 degrees about the centre; what would lie outside the grid is its edge's value."""
    first, second = units - 0.5
    return np.array([first - second, first + second]) + 0.5


def _surface(name: str, parameters: list, log: list, bounds: list, mean: list, published: list) -> Surface:
    space = Space(
        tuple(
            Parameter(path, "float", low, high, log=logarithmic)
            for path, (low, high), logarithmic in zip(parameters, bounds, log, strict=True)
        )
    )
    points = tuple(dict(zip(parameters, values, strict=True)) for values in published)
    return Surface(name, space, np.array(mean), points)


def _unit(parameter: Parameter, value: float) -> float:
    low, high = parameter.low, parameter.high
    if parameter.log:
        low, high, value = np.log(low), np.log(high), np.log(value)
    return float(np.clip((value - low) / (high - low), 0, 1))


def _linear(unit: float, size: int) -> np.ndarray:
    weights = np.zeros(size)
    left = min(int(unit * (size - 1)), size - 2)
    weights[left + 1] = unit * (size - 1) - left
    weights[left] = 1 - weights[left + 1]
    return weights
