"""The next trial's parameters, as a pure function of the trials before it.

``propose`` gives the same point in any process and after any interruption, because it sees
nothing but its arguments. The first points are scrambled Sobol points, taken by index, so that a
failed one is never tried again; Ax's model proposes the later ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from powerbench.search.space import Space, canonical
from powerbench.seeding import numpy_generator

Strategy = Literal["ax", "sobol", "random", "grid"]
Point = dict[str, Any]

REPLACEMENT_DRAWS = 100
FEWEST_FOR_A_MODEL = 2


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: the mean over folds and its standard error (None with one fold), or a failure."""

    mean: float | None
    sem: float | None = None
    failed: bool = False

    def __post_init__(self) -> None:
        if self.failed:
            return
        if self.mean is None or not math.isfinite(self.mean):
            raise ValueError(f"the mean of a trial that did not fail must be finite, not {self.mean}")
        if self.sem is not None and not (math.isfinite(self.sem) and self.sem >= 0):
            raise ValueError(f"the standard error must be finite and not negative, not {self.sem}")


def initial_points(space: Space) -> int:
    """How many trials come before the first that Ax proposes."""
    return max(5, len(space.parameters))


def visible(outcomes: Sequence[Outcome | None], *, index: int, parallel: int) -> list[Outcome | None]:
    """The outcomes that proposal ``index`` may use with ``parallel`` trials at a time: those of 0..index-parallel."""
    last = index - parallel
    return [outcome if i <= last else None for i, outcome in enumerate(outcomes[:index])]


def propose(
    space: Space,
    *,
    strategy: Strategy,
    seed: int,
    index: int,
    parameters: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Outcome | None],
    parallel: int = 1,
    primary: str = "map_at_r",
) -> Point:
    """The parameters of trial ``index``, keyed by path, in the space's types.

    ``parameters`` are those of trials 0..index-1 and ``outcomes`` what came of them, None where that is not known;
    with ``parallel`` trials at a time those after index-parallel change nothing (see :func:`visible`). ``primary``
    names the metric that is maximised.
    A point is not proposed twice, unless the space has no other left. Earlier trials may lie outside
    the space, as they do after its bounds were changed.

    Raises ValueError for an index beyond the grid, UserError if the strategy ``grid`` meets a range.
    """
    if not len(parameters) == len(outcomes) == index:
        raise ValueError(
            f"trial {index} needs {index} earlier trials, got {len(parameters)} and {len(outcomes)} outcomes"
        )
    if strategy == "grid":
        return space.grid_point(index)
    outcomes = visible(outcomes, index=index, parallel=parallel)
    point = _first_choice(space, strategy, seed, index, parameters, outcomes, primary)
    return _unless_taken(point, space, seed, index, parameters, outcomes)


def _first_choice(
    space: Space,
    strategy: Strategy,
    seed: int,
    index: int,
    parameters: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Outcome | None],
    primary: str,
) -> Point:
    if strategy == "random":
        return _random_point(space, numpy_generator(seed=seed, index=index, purpose="random search"))
    succeeded = sum(outcome is not None and not outcome.failed for outcome in outcomes)
    if strategy == "ax" and index >= initial_points(space) and succeeded >= FEWEST_FOR_A_MODEL:
        from powerbench.search.ax_model import model_point

        point = model_point(space, seed=seed, parameters=parameters, outcomes=outcomes, metric=primary)
        if point is not None:
            return point
    return sobol_point(space, seed=seed, index=index)


def sobol_point(space: Space, *, seed: int, index: int) -> Point:
    """Point ``index`` of the scrambled Sobol sequence that ``seed`` gives."""
    from scipy.stats.qmc import Sobol

    if not space.parameters:
        return {}
    sequence = Sobol(len(space.parameters), scramble=True, rng=numpy_generator(seed=seed, purpose="initial points"))
    if index:  # scipy cannot go forward by 0
        sequence.fast_forward(index)
    return space.from_unit(sequence.random(1)[0].tolist())


def _unless_taken(
    point: Point,
    space: Space,
    seed: int,
    index: int,
    parameters: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Outcome | None],
) -> Point:
    """``point`` if it is new; otherwise a random point that is; a repetition only if no new point is found."""
    taken = {canonical(earlier) for earlier in parameters}
    if canonical(point) not in taken:
        return point
    failed = {canonical(earlier) for earlier, o in zip(parameters, outcomes, strict=True) if o is not None and o.failed}
    generator = numpy_generator(seed=seed, index=index, purpose="replacement")
    candidates = [point, *(_random_point(space, generator) for _ in range(REPLACEMENT_DRAWS))]
    for refused in (taken, failed):
        for candidate in candidates:
            if canonical(candidate) not in refused:
                return candidate
        if space.is_grid:  # its last points are rarely drawn
            left = (space.grid_point(place) for place in range(space.grid_size))
            if (unseen := next((one for one in left if canonical(one) not in refused), None)) is not None:
                return unseen
    return point


def _random_point(space: Space, generator: np.random.Generator) -> Point:
    return space.from_unit(generator.random(len(space.parameters)).tolist())
