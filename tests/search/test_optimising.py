"""Objectives in notebooks go through the search of the experiments."""

import json
import math
import re
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from searching import search, space

from powerbench.errors import UserError
from powerbench.search import Outcome, optimise

RANGES = {"x~BAYESIAN~": [0, 1], "y~LOG_BAYESIAN~": [1e-2, 1e2], "n~INT_BAYESIAN~": [1, 8]}
SPACE = space(x=("BAYESIAN", [0, 1]), y=("LOG_BAYESIAN", [1e-2, 1e2]), n=("INT_BAYESIAN", [1, 8]))
DOCUMENT = Path(__file__).parents[2] / "docs" / "search.md"


def hill(point):
    return 1 - (point["x"] - 0.3) ** 2 - math.log10(point["y"]) ** 2 / 4 - (point["n"] == 1)


def points(optimised):
    return [trial.parameters for trial in optimised.trials]


@pytest.mark.parametrize("strategy", ["sobol", "random"])
def test_a_mapping_in_the_config_language_is_the_same_space(strategy):
    expected, outcomes = search(SPACE, lambda point: Outcome(hill(point)), 9, strategy=strategy, seed=4)
    for same in (RANGES, SPACE):
        found = optimise(same, hill, 9, seed=4, strategy=strategy)
        assert points(found) == expected
        assert [trial.outcome for trial in found.trials] == outcomes
        assert found.best.outcome.mean == max(outcome.mean for outcome in outcomes)


@pytest.mark.parametrize("parallel", [1, 3])
def test_an_interrupted_call_continues_with_its_history_and_evaluates_nothing_twice(parallel):
    calls, history = [], []

    def broken_once(point):
        calls.append(point)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return hill(point)

    with pytest.raises(KeyboardInterrupt):
        optimise(RANGES, broken_once, 8, parallel=parallel, strategy="sobol", history=history)
    kept = len(history)
    assert 3 <= kept <= 4
    calls_before = len(calls)
    found = optimise(RANGES, broken_once, 8, parallel=parallel, strategy="sobol", history=history)
    assert found == optimise(RANGES, hill, 8, strategy="sobol")
    assert list(found.trials) == history
    assert all(call not in points(found)[:kept] for call in calls[calls_before:])
    assert optimise(RANGES, pytest.fail, 8, history=history) == found


def test_as_many_run_together_as_asked_and_none_while_a_point_is_proposed(monkeypatch):
    from powerbench.search import optimising

    barrier, running, proposing = threading.Barrier(4, timeout=20), [], []
    propose = optimising.propose

    def together(point):
        running.append(1)
        barrier.wait()
        running.pop()
        return hill(point)

    def noted(*args, **kwargs):
        proposing.append(len(running))
        return propose(*args, **kwargs)

    monkeypatch.setattr(optimising, "propose", noted)
    found = optimise(RANGES, together, 8, parallel=4, strategy="sobol")
    assert len(found.trials) == 8
    assert proposing == [0] * 8


def test_not_finite_is_failed_and_never_best():
    found = optimise({"x~BAYESIAN~": [0, 1]}, lambda point: math.nan if point["x"] > 0.5 else point["x"], 5)
    assert [trial.outcome.failed for trial in found.trials] == [trial.parameters["x"] > 0.5 for trial in found.trials]
    assert any(trial.outcome.failed for trial in found.trials)
    assert found.best.parameters["x"] == max(t.parameters["x"] for t in found.trials if not t.outcome.failed)


def test_a_grid_ends_when_it_is_complete():
    found = optimise({"a~GRID~": [1, 2], "b~GRID~": ["x", "y"]}, lambda point: point["a"], 50, strategy="grid")
    assert [(point["a"], point["b"]) for point in points(found)] == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


@pytest.mark.parametrize(
    ("ranges", "message"),
    [({"x": [0, 1]}, "x is not searched"), ({"x~BAYSIAN~": [0, 1]}, "BAYESIAN"), ({"x~BAYESIAN~": [1, 0]}, "below")],
)
def test_a_space_that_is_none_is_refused_before_anything_is_evaluated(ranges, message):
    with pytest.raises(UserError, match=message):
        optimise(ranges, lambda point: pytest.fail("evaluated"), 3)


def test_fewer_than_one_at_a_time_is_refused():
    with pytest.raises(UserError, match="at least 1"):
        optimise(RANGES, hill, 3, parallel=0)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [1, 3])
def test_models_propose_what_they_propose_to_an_experiment(parallel):
    def disturbing(point):
        np.random.seed(3)
        torch.rand(5)
        return hill(point)

    expected, _ = search(SPACE, lambda point: Outcome(hill(point)), 8, seed=2, parallel=parallel)
    history = []
    optimise(RANGES, disturbing, 6, parallel=parallel, seed=2, history=history)
    found = optimise(RANGES, disturbing, 8, parallel=parallel, seed=2, history=history)
    assert points(found) == expected
    assert points(found) == json.loads(json.dumps(points(found)))


@pytest.mark.slow
def test_the_documented_example_finds_the_hill():
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert len(names["history"]) == 10
    assert names["found"].best.outcome.mean > 0.43
