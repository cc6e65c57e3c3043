"""Proposals that need no model: Sobol, random, grid, and the rules around them."""

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searching import outcome, search, space

from powerbench.search import Outcome, initial_points, propose, visible

MIXED = space(
    a=("BAYESIAN", [-1, 1]),
    b=("LOG_BAYESIAN", [1e-4, 1e4]),
    n=("INT_BAYESIAN", [2, 9]),
    c=("CHOICE_BAYESIAN", ["x", "y", None]),
    g=("GRID", [32, 64, 128]),
)
TYPES = {"a": float, "b": float, "n": int, "c": (str, type(None)), "g": int}


def first(space, count, strategy="sobol", seed=0):
    return search(space, lambda point: outcome(0.5), count, strategy=strategy, seed=seed)[0]


@pytest.mark.parametrize("strategy", ["sobol", "random"])
def test_points_are_plain_values_inside_the_space(strategy):
    points = first(MIXED, 40, strategy)
    for point in points:
        assert list(point) == ["a", "b", "n", "c", "g"]
        assert all(type(point[path]) in np.atleast_1d(kind) for path, kind in TYPES.items())
        assert -1 <= point["a"] <= 1
        assert 1e-4 <= point["b"] <= 1e4
        assert 2 <= point["n"] <= 9
        assert point["c"] in ("x", "y", None)
        assert point["g"] in (32, 64, 128)
    assert points == [json.loads(json.dumps(point)) for point in points]
    assert {point["c"] for point in points} == {"x", "y", None}
    assert {point["n"] for point in points} == set(range(2, 10))


def test_sobol_covers_the_log_scale_evenly():
    logs = [math.log10(point["b"]) for point in first(MIXED, 32)]
    counts, _ = np.histogram(logs, bins=8, range=(-4, 4))
    assert counts.tolist() == [4] * 8


@pytest.mark.parametrize("strategy", ["sobol", "random", "ax"])
def test_seeds_matter_and_global_generators_do_not(strategy):
    random.seed(1)
    one = first(MIXED, 5, strategy, seed=1)
    np.random.seed(3)
    assert first(MIXED, 5, strategy, seed=1) == one
    assert first(MIXED, 5, strategy, seed=2)[0] != one[0]


def test_the_first_points_of_ax_are_sobol_points_whatever_came_of_the_earlier_ones():
    assert initial_points(MIXED) == 5
    assert initial_points(space(**{f"p{i}": ("BAYESIAN", [0, 1]) for i in range(8)})) == 8
    expected = first(MIXED, 5)
    for outcomes in ([outcome(0.1)] * 4, [Outcome(None, failed=True)] * 4, [None] * 4):
        point = propose(MIXED, strategy="ax", seed=0, index=4, parameters=expected[:4], outcomes=outcomes)
        assert point == expected[4]


def test_without_two_successes_ax_goes_on_with_sobol_and_never_repeats_a_failed_point():
    def fail_but_one(point):
        return outcome(0.3) if point == expected[2] else Outcome(None, failed=True)

    expected = first(MIXED, 12)
    points, _ = search(MIXED, fail_but_one, 12)
    assert points == expected
    assert len({json.dumps(point) for point in points}) == 12


@pytest.mark.parametrize("strategy", ["sobol", "random"])
def test_a_finite_space_is_exhausted_before_a_point_comes_again_and_failures_never_do(strategy):
    small = space(n=("INT_BAYESIAN", [1, 3]), c=("CHOICE_BAYESIAN", ["x", "y"]))
    bad = [{"n": 2, "c": "x"}, {"n": 3, "c": "y"}]
    points, _ = search(small, lambda p: Outcome(None, failed=True) if p in bad else outcome(0.1), 14, strategy=strategy)
    assert len({json.dumps(point) for point in points[:6]}) == 6
    assert not [point for point in points[6:] if point in bad]


def test_if_everything_failed_the_point_is_repeated():
    only = space(c=("CHOICE_BAYESIAN", ["x"]))
    points, _ = search(only, lambda point: Outcome(None, failed=True), 3)
    assert points == [{"c": "x"}] * 3


def test_grid_gives_every_point_once_in_order():
    grid = space(a=("GRID", [1, 2]), b=("GRID", ["x", "y", "z"]))
    points, _ = search(grid, lambda point: outcome(0.1), 6, strategy="grid")
    assert points == [grid.grid_point(i) for i in range(6)]
    with pytest.raises(ValueError, match="6 points"):
        search(grid, lambda point: outcome(0.1), 7, strategy="grid")


def test_an_empty_space_has_one_point():
    assert propose(space(), strategy="ax", seed=0, index=0, parameters=[], outcomes=[]) == {}
    assert propose(space(), strategy="grid", seed=0, index=0, parameters=[], outcomes=[]) == {}


def test_parallel_proposals_see_the_results_up_to_index_minus_k():
    outcomes = [outcome(i / 10) for i in range(6)]
    assert visible(outcomes, index=6, parallel=1) == outcomes
    assert visible(outcomes, index=6, parallel=4) == [*outcomes[:3], None, None, None]
    assert visible(outcomes, index=2, parallel=4) == [None, None]
    assert visible(outcomes[:5], index=5, parallel=5) == [outcomes[0], None, None, None, None]


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
def test_an_outcome_without_a_finite_mean_is_refused(bad):
    with pytest.raises(ValueError, match="must be finite"):
        Outcome(bad, 0.01)
    assert Outcome(bad, failed=True).failed


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_a_standard_error_that_is_none_of_the_kind_is_refused(bad):
    with pytest.raises(ValueError, match="standard error"):
        Outcome(0.5, bad)


def test_the_number_of_earlier_trials_must_fit():
    with pytest.raises(ValueError, match="trial 2 needs 2 earlier trials, got 1 and 2"):
        propose(MIXED, strategy="ax", seed=0, index=2, parameters=[{}], outcomes=[None, None])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), low=st.floats(1e-9, 1e9), factor=st.floats(1.001, 1e9), index=st.integers(0, 40))
def test_sobol_points_stay_in_bounds_for_any_seed(seed, low, factor, index):
    one = space(p=("LOG_BAYESIAN", [low, low * factor]), n=("INT_BAYESIAN", [-3, 3]))
    earlier = [{"p": 0.0, "n": 0}] * index
    point = propose(one, strategy="ax", seed=seed, index=index, parameters=earlier, outcomes=[None] * index)
    assert low <= point["p"] <= low * factor
    assert -3 <= point["n"] <= 3


def test_sobol_points_by_index_are_those_of_the_sequence():
    from scipy.stats.qmc import Sobol

    from powerbench.seeding import numpy_generator

    sequence = Sobol(2, scramble=True, rng=numpy_generator(seed=5, purpose="initial points")).random(16)
    plane = space(x=("BAYESIAN", [0, 1]), y=("BAYESIAN", [0, 1]))
    assert [list(point.values()) for point in first(plane, 16, seed=5)] == sequence.tolist()


@pytest.mark.parametrize("strategy", ["ax", "sobol", "random"])
def test_a_grid_is_completed_before_a_point_is_repeated(strategy):
    lists = space(a=("GRID", list(range(17))), b=("GRID", list(range(17))))
    assert lists.planned(strategy, 1000) == lists.grid_size == 289
    parameters = [lists.grid_point(place) for place in range(289) if place != 130]
    failed = [Outcome(None, failed=True)] * 288
    left = propose(lists, strategy=strategy, seed=0, index=288, parameters=parameters, outcomes=failed)
    assert left == lists.grid_point(130)


def test_only_lists_marked_grid_end_a_search():
    both = space(a=("GRID", [1, 2]), b=("CHOICE_BAYESIAN", [1, 2]))
    assert (both.planned("ax", 50), both.planned("grid", 50), both.planned("grid", 3)) == (50, 4, 3)
    assert space(a=("INT_BAYESIAN", [1, 2])).planned("ax", 50) == 50
