"""Proposals of Ax's model."""

import json
import logging
import math
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from searching import outcome, search, space

from powerbench.search import Outcome, propose
from powerbench.search.ax_model import model_point

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]

PLANE = space(x=("BAYESIAN", [0, 1]), y=("LOG_BAYESIAN", [1e-2, 1e2]))
MIXED = space(
    a=("BAYESIAN", [-1, 1]),
    n=("INT_BAYESIAN", [2, 9]),
    c=("CHOICE_BAYESIAN", ["x", "y", None]),
    g=("GRID", [32, 64, 128]),
    one=("GRID", ["fixed"]),
)


def hill(point):
    """Best (1.0) at x = .3, y = 10 ** .5."""
    return outcome(1 - (point["x"] - 0.3) ** 2 - (math.log10(point["y"]) - 0.5) ** 2 / 4)


def hill_with_a_cliff(point):
    return Outcome(None, failed=True) if point["y"] > 30 or 0.45 < point["x"] < 0.5 else hill(point)


def mixed_hill(point):
    return outcome(-(point["a"] ** 2) - abs(point["n"] - 6) / 8 + (point["c"] is None) - (point["g"] == 32))


PROGRAM = """
import json, sys
sys.path.insert(0, {tests!r})
from test_ax_model import MIXED, PLANE, hill_with_a_cliff, mixed_hill
from searching import search
points = [search(PLANE, hill_with_a_cliff, 8, seed=3)[0], search(MIXED, mixed_hill, 7, seed=3)[0]]
print(json.dumps(points))
"""


def test_another_process_proposes_the_same_to_the_last_bit():
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    theirs = json.loads(output.stdout)
    np.random.seed(1)
    plane, plane_outcomes = search(PLANE, hill_with_a_cliff, 8, seed=3)
    assert theirs == [plane, search(MIXED, mixed_hill, 7, seed=3)[0]]
    assert output.stderr == ""
    for killed_after in (6, 7):  # a restart has nothing but what was stored, as JSON
        stored = json.loads(json.dumps(plane[:killed_after]))
        again, _ = search(
            PLANE, hill_with_a_cliff, 8, seed=3, start=list(zip(stored, plane_outcomes[:killed_after], strict=True))
        )
        assert again == plane


def test_the_model_takes_over_after_the_initial_points_even_if_one_failed():
    def fail_first(point):
        return Outcome(None, failed=True) if point == sobol[1] else hill(point)

    sobol, _ = search(PLANE, hill, 8, strategy="sobol")
    points, outcomes = search(PLANE, fail_first, 8)
    assert points[:5] == sobol[:5]
    assert not [point for point in points[5:] if point in sobol]
    assert outcomes[1].failed
    assert sobol[1] not in points[2:]


def test_failing_again_and_again_drives_the_search_elsewhere():
    start = [(point, hill(point)) for point in search(PLANE, hill, 6, strategy="sobol")[0]]
    points, _ = search(PLANE, lambda point: Outcome(None, failed=True), 9, start=start)
    unit = np.array([[point["x"], (math.log10(point["y"]) + 2) / 4] for point in points[6:]])
    distances = [np.linalg.norm(a - b) for i, a in enumerate(unit) for b in unit[:i]]
    assert min(distances) > 0.03


def test_parallel_proposals_depend_only_on_results_that_all_drivers_have_seen():
    start = [(point, hill(point)) for point in search(PLANE, hill, 6, strategy="sobol")[0]]
    points, outcomes = search(PLANE, hill, 9, parallel=4, start=start)
    for later in (outcome(0.9), Outcome(None, failed=True)):
        changed = [*outcomes[:5], *[later] * 3]
        again, _ = search(PLANE, hill, 9, parallel=4, start=list(zip(points[:8], changed, strict=True)))
        assert again[8] == points[8]
    assert len({json.dumps(point) for point in points}) == 9


def test_every_kind_of_parameter_is_proposed_in_its_own_type_and_silently(caplog, capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        points, _ = search(MIXED, mixed_hill, 9, seed=1)
    for point in points[5:]:
        assert type(point["a"]) is float
        assert -1 <= point["a"] <= 1
        assert type(point["n"]) is int
        assert 2 <= point["n"] <= 9
        assert point["c"] in ("x", "y", None)
        assert point["g"] in (32, 64, 128)
        assert point["one"] == "fixed"
    assert not caught
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == logging.NOTSET


def test_beats_random_search_on_a_hill():
    regrets = {}
    for strategy in ("ax", "random"):
        runs = [search(PLANE, hill, 12, strategy=strategy, seed=seed)[1] for seed in range(2)]
        regrets[strategy] = [1 - max(outcome.mean for outcome in run) for run in runs]
    assert np.median(regrets["ax"]) < np.median(regrets["random"]) / 3
    assert max(regrets["ax"]) < 0.02


def test_bounds_can_be_widened_and_choices_and_operators_changed():
    start = [(point, mixed_hill(point)) for point in search(MIXED, mixed_hill, 6, strategy="sobol")[0]]
    changed = space(
        a=("BAYESIAN", [-3, -0.1]),
        n=("INT_BAYESIAN", [1, 4]),
        c=("CHOICE_BAYESIAN", ["x", None, "z"]),
        g=("LOG_BAYESIAN", [1, 100]),
        one=("GRID", ["fixed"]),
    )
    assert changed.version != MIXED.version
    points, _ = search(changed, mixed_hill, 8, start=start)
    for point in points[6:]:
        assert -3 <= point["a"] <= -0.1
        assert 1 <= point["n"] <= 4
        assert point["c"] in ("x", None, "z")
        assert 1 <= point["g"] <= 100


def test_equal_results_without_standard_errors_still_give_a_new_point():
    points, _ = search(PLANE, lambda point: Outcome(0.25), 7)
    assert len({json.dumps(point) for point in points}) == 7


def test_a_model_that_cannot_be_fitted_gives_a_sobol_point_and_says_so(caplog):
    sobol, _ = search(PLANE, hill, 7, strategy="sobol")
    removed = space(x=("CHOICE_BAYESIAN", ["a", "b", "c"]), y=("LOG_BAYESIAN", [1e-2, 1e2]))
    outcomes = [hill(point) for point in sobol[:6]]
    with caplog.at_level(logging.WARNING):
        point = propose(removed, strategy="ax", seed=0, index=6, parameters=sobol[:6], outcomes=outcomes)
    assert point["x"] in ("a", "b", "c")
    assert "no model for trial 6, a Sobol point is used instead" in caplog.text


def test_nothing_to_search_needs_no_model():
    fixed = space(x=("GRID", [1]))
    assert model_point(fixed, seed=0, parameters=[], outcomes=[], metric="map_at_r") is None
