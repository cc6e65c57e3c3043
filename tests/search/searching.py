"""Spaces and whole searches for these tests."""

from typing import Any, NamedTuple

from powerbench.search import Outcome, propose, space_of, visible


class Key(NamedTuple):
    path: str
    operator: str
    value: Any
    where: str | None = "config.yaml"


def space(**keys):
    """``space(a=("BAYESIAN", [0, 1]))``."""
    return space_of([Key(path, operator, value) for path, (operator, value) in keys.items()])


def search(space, evaluate, trials, *, strategy="ax", seed=0, parallel=1, start=()):
    """Points and outcomes of a search in which proposal i sees the outcomes of 0..i-parallel."""
    points, outcomes = [point for point, _ in start], [outcome for _, outcome in start]
    for index in range(len(points), trials):
        seen = visible(outcomes, index=index, parallel=parallel)
        point = propose(space, strategy=strategy, seed=seed, index=index, parameters=points, outcomes=seen)
        points.append(point)
        outcomes.append(evaluate(point))
    return points, outcomes


def outcome(value, sem=0.01):
    return Outcome(value, sem)
