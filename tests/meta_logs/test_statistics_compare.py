"""Pairs, corrections and groups, against scipy, statsmodels and hand computations."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from meta_logs.statistics.compare import compare, holm, paired_t, wilcoxon
from meta_logs.statistics.letters import groups

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@pytest.mark.slow  # the import of statsmodels takes long
@settings(max_examples=30, deadline=None)
@given(P_VALUES)
def test_holm_is_that_of_statsmodels(p_values):
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(expected), abs=1e-15)


def test_holm_by_hand():
    # sorted .01 .02 .03 .04 -> .04, .06, .06, .06
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12))
def test_the_paired_test_is_that_of_scipy(differences):
    found = paired_t(differences)
    if np.std(differences) > 1e-9:
        expected = scipy.stats.ttest_rel(differences, np.zeros(len(differences))).pvalue
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_a_paired_test_by_hand():
    # differences 1 2 3: mean 2, standard error 1 / sqrt 3, t = 3.4641, two degrees of freedom
    t = 2 * math.sqrt(3)
    assert paired_t([1.0, 2.0, 3.0]) == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-12)


def test_differences_without_spread_are_certain_and_too_few_say_nothing():
    assert paired_t([0.0, 0.0]) == 1.0
    assert paired_t([0.5, 0.5]) == 0.0
    assert paired_t([0.5]) is None
    assert paired_t([]) is None
    assert paired_t([0.5, math.nan]) is None


def test_wilcoxon_needs_six_pairs():
    six = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert wilcoxon(six) == pytest.approx(2 / 2**6)  # all signs equal: two of 64 outcomes
    assert wilcoxon(six[:5]) is None
    assert wilcoxon([*six[:5], 0.0]) is None
    mixed = [0.3, -0.1, 0.2, 0.5, -0.05, 0.4, 0.25]
    assert wilcoxon(mixed) == pytest.approx(scipy.stats.wilcoxon(mixed).pvalue)


def noisy(level, count, seed):
    generator = np.random.default_rng(seed)
    return {i: float(level + generator.normal(scale=0.01)) for i in range(count)}


def test_every_pair_is_compared_over_equal_indices():
    values = {"a": noisy(0.5, 8, 1), "b": noisy(0.45, 8, 2), "c": noisy(0.5, 6, 3)}
    del values["b"][0]
    found = {(pair.first, pair.second): pair for pair in compare(values)}
    assert set(found) == {("a", "b"), ("a", "c"), ("b", "c")}
    raw = []
    for (first, second), pair in found.items():
        common = sorted(set(values[first]) & set(values[second]))
        x, y = ([values[name][i] for i in common] for name in (first, second))
        test = scipy.stats.ttest_rel(x, y)
        interval = test.confidence_interval(0.95)
        assert pair.n == len(common)
        assert (pair.low, pair.high) == pytest.approx((interval.low, interval.high))
        assert pair.difference == pytest.approx(np.mean(x) - np.mean(y))
        assert pair.p == pytest.approx(test.pvalue)
        raw.append(test.pvalue)
    corrected = multipletests(raw, method="holm")[1]
    assert [pair.p_holm for pair in found.values()] == pytest.approx(list(corrected))
    assert [pair.holds for pair in found.values()] == [True, False, True]
    assert found["a", "b"].p_wilcoxon is not None
    assert found["b", "c"].p_wilcoxon is None


def test_a_method_with_one_reproduction_is_not_judged():
    values = {"a": {0: 0.5, 1: 0.6}, "b": {0: 0.1}, "c": {5: 0.9, 6: 0.9}}
    pairs = {(pair.first, pair.second): pair for pair in compare(values)}
    single = pairs["a", "b"]
    assert (single.n, single.low, single.p, single.p_holm, single.holds) == (1, None, None, None, False)
    assert single.difference == pytest.approx(0.4)
    assert (pairs["a", "c"].n, pairs["a", "c"].difference) == (0, None)
    assert not any(pair.holds for pair in pairs.values())


def test_many_pairs_ask_for_more_than_one_pair():
    """A difference that holds alone must not hold as one of many."""
    one = {"a": dict.fromkeys(range(4), 0.5), "b": {0: 0.49, 1: 0.48, 2: 0.49, 3: 0.47}}
    assert compare(one)[0].holds
    many = {**one, **{f"m{i}": noisy(0.5, 4, i) for i in range(6)}}
    assert not compare(many)[0].holds


METHODS = ["v", "w", "x", "y", "z"]
PAIRS = list(itertools.combinations(METHODS, 2))


@settings(deadline=None)
@given(st.sets(st.sampled_from(PAIRS)))
def test_letters_are_shared_exactly_by_methods_that_cannot_be_told_apart(distinct):
    letters = groups(METHODS, sorted(distinct))
    for pair in PAIRS:
        assert bool(set(letters[pair[0]]) & set(letters[pair[1]])) == (pair not in distinct)
    used = sorted(set("".join(letters.values())))
    assert used == [chr(ord("a") + i) for i in range(len(used))]
    assert letters["v"].startswith("a"), "the best method has the first letter"


def test_letters_by_hand():
    assert groups(["a", "b", "c"], []) == {"a": "a", "b": "a", "c": "a"}
    assert groups(["a", "b", "c"], [("c", "a")]) == {"a": "a", "b": "ab", "c": "b"}
    assert groups(["a", "b"], [("a", "b")]) == {"a": "a", "b": "b"}
    assert groups(["a"], []) == {"a": "a"}


def test_letters_do_not_run_out():
    names = [f"m{i}" for i in range(30)]
    letters = groups(names, itertools.combinations(names, 2))
    assert letters["m25"] == "z"
    assert letters["m26"] == "a1"
    assert len(set(letters.values())) == 30
