"""Any objective through the search of the experiments: for notebooks, scripts and measurements of the search itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from powerbench.config.keys import parse_key
from powerbench.errors import UserError
from powerbench.search.proposing import Outcome, Point, Strategy, propose
from powerbench.search.space import Space, space_of

Objective = Callable[[Point], float | Outcome]


@dataclass(frozen=True)
class Trial:
    """A point that was tried, and what came of it."""

    parameters: Point
    outcome: Outcome


@dataclass(frozen=True)
class Optimised:
    """The trials in the order of their proposal."""

    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The trial with the highest mean, the earliest of equals. Raises ValueError if none succeeded."""
        return max((trial for trial in self.trials if not trial.outcome.failed), key=_mean)


def optimise(
    space: Space | Mapping[str, Any],
    evaluate: Objective,
    trials: int,
    *,
    parallel: int = 1,
    seed: int = 0,
    strategy: Strategy = "ax",
    history: list[Trial] | None = None,
) -> Optimised:
    """Maximise ``evaluate`` as the search of an experiment maximises its metric: the same proposals from the same seed.

    ``space`` is given as in a config, ``{"margin~BAYESIAN~": [0, 1], "lr~LOG_BAYESIAN~": [1e-6, 1]}``, or built.
    ``evaluate`` gets a point, ``{"margin": 0.31, "lr": 2e-5}``, and gives its value, or an :class:`Outcome` if the
    standard error is known; a value that is not finite is a failed trial. What it raises ends the search.

    ``trials`` counts all trials, those of ``history`` included; a complete grid ends earlier. Trials are appended to
    ``history`` as they end, so the same call with the same list continues after an interruption, or with more trials.

    With ``parallel`` K, proposal i sees the results of trials 0..i-K only, and K trials are evaluated together in
    threads. None of them runs while a point is proposed, so an objective that draws from global generators, or sets
    the number of threads, changes no proposal.

    Raises UserError for a space that is not one, and for fewer than one trial at a time.
    """
    if parallel < 1:
        raise UserError(f"parallel is at least 1, not {parallel}.")
    if not isinstance(space, Space):
        space = _space(space)
    done = [] if history is None else history
    planned = space.planned(strategy, trials)
    with ThreadPoolExecutor(parallel) as pool:
        while len(done) < planned:
            points = _next_points(space, strategy, seed, parallel, done, planned)
            results = map(evaluate, points) if parallel == 1 else pool.map(evaluate, points)
            for point, result in zip(points, results, strict=True):
                done.append(Trial(point, _outcome(result)))
    return Optimised(tuple(done))


def _next_points(
    space: Space, strategy: Strategy, seed: int, parallel: int, done: Sequence[Trial], planned: int
) -> list[Point]:
    """The proposals that need no more results than there are, ``parallel`` at most."""
    points = [trial.parameters for trial in done]
    outcomes: list[Outcome | None] = [trial.outcome for trial in done]
    for index in range(len(done), min(len(done) + parallel, planned)):
        point = propose(
            space,
            strategy=strategy,
            seed=seed,
            index=index,
            parameters=points,
            outcomes=outcomes,
            parallel=parallel,
        )
        points.append(point)
        outcomes.append(None)
    return points[len(done) :]


class _Key(NamedTuple):
    path: str
    operator: str
    value: Any
    where: str | None


def _space(ranges: Mapping[str, Any]) -> Space:
    return space_of(list(_keys(ranges)))


def _keys(ranges: Mapping[str, Any]) -> Iterator[_Key]:
    where = "the space of optimise()"
    for raw, value in ranges.items():
        key = parse_key(raw, where)
        if not key.searched:
            raise UserError(f"{raw} is not searched; write {raw}~BAYESIAN~: [low, high].", where=where)
        yield _Key(key.name, str(key.operator), value, where)


def _outcome(result: float | Outcome) -> Outcome:
    if isinstance(result, Outcome):
        return result
    return Outcome(float(result)) if math.isfinite(result) else Outcome(None, failed=True)


def _mean(trial: Trial) -> float:
    assert trial.outcome.mean is not None
    return trial.outcome.mean
