"""Means and intervals over reproductions."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from store_results import evaluation, trained

from powerbench.store.intervals import mean_and_sem, mean_interval, t_quantile

NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


@settings(max_examples=40, deadline=None)
@given(NUMBERS, st.floats(0.5, 0.999))
def test_intervals_are_those_of_scipy(values, confidence):
    found = mean_interval(values, confidence)
    sem = scipy.stats.sem(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-12)
    assert found.sem == pytest.approx(sem, rel=1e-9, abs=1e-12)
    if sem > 1e-9:
        low, high = scipy.stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=sem)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9)
        assert found.half_width == pytest.approx((high - low) / 2, rel=1e-6, abs=1e-9)


def test_an_interval_by_hand():
    # mean 4, deviations -2 0 2, variance 8 / 2 = 4, standard error 2 / sqrt 3, t(0.975; 2) = 4.302653
    found = mean_interval([2.0, 4.0, 6.0])
    assert found.mean == 4.0
    assert found.sem == pytest.approx(2 / math.sqrt(3), rel=1e-15)
    assert found.half_width == pytest.approx(4.30265272974946 * 2 / math.sqrt(3), rel=1e-12)


def test_two_values_use_the_widest_quantile():
    assert t_quantile(0.95, 1) == pytest.approx(12.706204736432095, rel=1e-10)
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_quantile(95, 1)


@pytest.mark.parametrize("values", [[0.5], [0.5, math.nan], [math.inf, 1.0]])
def test_one_value_or_an_infinite_one_gives_no_interval(values):
    found = mean_interval(values)
    assert (found.sem, found.low, found.high, found.half_width) == (None, None, None, None)
    assert found.n == len(values)


def test_equal_values_have_an_interval_of_width_zero():
    assert mean_interval([0.25, 0.25]).half_width == 0.0


def test_no_values_are_an_error():
    with pytest.raises(ValueError, match="no values"):
        mean_and_sem([])


def summarised(store, experiment, **options):
    rows = store.refresh_summaries(experiment.id, **options)
    assert rows == store.summaries(experiment.id)
    return {row.mode: row for row in rows}


def reproductions(store, experiment, values, parameters):
    for number, value in enumerate(values):
        trial = trained(store, experiment, "reproduction", number, 0.5, parameters)
        store.record_evaluation(trial.id, evaluation([value, value], concatenated=value + 0.1))


def test_summaries_are_over_reproductions_alone(store, experiment):
    best = trained(store, experiment, "search", 0, 0.9, {"x": 1.0})
    store.record_evaluation(best.id, evaluation([0.99, 0.99]))
    reproductions(store, experiment, [0.1, 0.2, 0.4], {"x": 1.0})
    row = summarised(store, experiment, confidence=0.9)["separate"]
    low, high = scipy.stats.t.interval(0.9, 2, loc=0.7 / 3, scale=scipy.stats.sem([0.1, 0.2, 0.4]))
    assert (row.n, row.confidence, row.sample) == (3, 0.9, "reproductions")
    assert (row.mean, row.ci_low, row.ci_high) == pytest.approx((0.7 / 3, low, high), rel=1e-12)
    assert row.half_width == pytest.approx((high - low) / 2)


def test_the_published_rule_adds_the_best_trial(store, experiment):
    trained(store, experiment, "search", 0, 0.1, {"x": 0.0})
    best = trained(store, experiment, "search", 1, 0.9, {"x": 1.0})
    store.record_evaluation(best.id, evaluation([0.5, 0.5]))
    reproductions(store, experiment, [0.1, 0.3], {"x": 1.0})
    row = summarised(store, experiment, include_best=True)["separate"]
    assert (row.n, row.sample) == (3, "include_best")
    assert row.mean == pytest.approx(0.3)


def test_reproductions_of_a_setting_that_was_overtaken_do_not_count(store, experiment):
    trained(store, experiment, "search", 0, 0.5, {"x": 1.0})
    reproductions(store, experiment, [0.1, 0.3], {"x": 1.0})
    assert summarised(store, experiment)["separate"].n == 2
    better = trained(store, experiment, "search", 1, 0.6, {"x": 2.0})
    assert summarised(store, experiment) == {}
    store.record_evaluation(better.id, evaluation([0.7, 0.7]))
    row = summarised(store, experiment)["separate"]
    assert (row.n, row.mean, row.sample) == (1, 0.7, "best_trial")


def test_reproductions_without_a_search_count(store, experiment):
    reproductions(store, experiment, [0.1, 0.3], {})
    assert summarised(store, experiment)["concatenated"].mean == pytest.approx(0.3)


def test_failed_and_unfinished_reproductions_do_not_count(store, experiment):
    reproductions(store, experiment, [0.1, 0.3, 0.5], {})
    store.fail_trial(store.trials(experiment.id)[2].id, "nan", "")
    store.add_trial(experiment.id, "reproduction", 3, {})
    assert summarised(store, experiment)["separate"].n == 2


@pytest.mark.parametrize("kind", ["single", "search"])
def test_one_training_stands_alone_without_an_interval(store, experiment, kind):
    trial = trained(store, experiment, kind, 0, 0.5)
    store.record_evaluation(trial.id, evaluation([0.1, 0.2]))
    row = summarised(store, experiment)["separate"]
    assert (row.n, row.sem, row.ci_low, row.ci_high, row.half_width) == (1, None, None, None, None)
    assert row.sample == {"single": "single", "search": "best_trial"}[kind]
