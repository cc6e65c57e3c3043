"""The warning that the chosen setting lies on a bound, and the command that widens it."""

import shlex

import pytest
from synthetic_searches import PREFIX, results_with

from meta_logs.optimization.bounds import hits_of, warnings_of, widening_command


def best_at(value, operator, bounds, **settings):
    low, high = bounds
    other = high if value == low else low
    points = [{"p": value}, {"p": other}, {"p": value}]
    return results_with({"p": (operator, list(bounds))}, points, [0.4, 0.1, 0.3], **settings)


@pytest.mark.parametrize(
    ("operator", "bounds", "value", "widened"),
    [
        ("BAYESIAN", (-0.2, 2.0), 2.0, [-0.2, 3.1]),
        ("BAYESIAN", (-0.2, 2.0), 1.979, [-0.2, 3.1]),
        ("BAYESIAN", (-0.2, 2.0), 1.977, None),
        ("BAYESIAN", (-0.2, 2.0), -0.2, [-1.3, 2.0]),
        ("BAYESIAN", (0.01, 100.0), 0.5, [0.0, 100.0]),
        ("LOG_BAYESIAN", (1e-6, 1.0), 0.88, [1e-6, 1000.0]),
        ("LOG_BAYESIAN", (1e-6, 1.0), 0.86, None),
        ("LOG_BAYESIAN", (0.01, 100.0), 0.01, [1e-4, 100.0]),
        ("INT_BAYESIAN", (2, 32), 32, [2, 47]),
        ("INT_BAYESIAN", (2, 32), 31, None),
        ("INT_BAYESIAN", (2, 5), 2, [0, 5]),
    ],
)
def test_a_bound_is_hit_within_a_hundredth_of_the_range_on_its_own_scale(operator, bounds, value, widened):
    hits = hits_of(best_at(value, operator, bounds))
    assert [hit.widened for hit in hits] == ([] if widened is None else [widened])
    assert all(isinstance(bound, int) for hit in hits for bound in hit.widened) == (
        operator == "INT_BAYESIAN" or not hits
    )


def test_the_command_names_every_bound_that_was_hit_once():
    space = {"a": ("BAYESIAN", [0.0, 1.0]), "b": ("LOG_BAYESIAN", [0.01, 100.0]), "c": ("BAYESIAN", [0.0, 1.0])}
    points = [{"a": 1.0, "b": 0.01, "c": 0.5}, {"a": 0.2, "b": 1.0, "c": 0.0}]
    results = results_with(space, points, [0.4, 0.1], trials=25, name="mine")
    assert widening_command(results, hits_of(results)) == (
        "python run.py --experiment_name mine --root_experiment_folder /experiments --bayes_opt_iters 38 "
        "--merge_argparse_when_resuming "
        "--loss_funcs '{metric_loss: {Loss: {a~BAYESIAN~: [0.0, 1.5], b~LOG_BAYESIAN~: [0.0001, 100.0]}}}'"
    )
    found, command = warnings_of(results)
    assert command is not None
    assert found[0].startswith("the best trial's a = 1 lies on its upper bound 1 (within 1% of the range")
    assert found[1].startswith("the best trial's b = 0.01 lies on its lower bound 0.01")


def test_nothing_in_a_name_is_run_by_the_shell():
    results = results_with({"$(touch x); p": ("BAYESIAN", [0, 1])}, [{"$(touch x); p": 1.0}], [0.4], name="`touch y`")
    words = shlex.split(warnings_of(results)[1])
    assert words[3] == "`touch y`"
    assert words[-1] == "{metric_loss: {Loss: {$(touch x); p~BAYESIAN~: [0.0, 1.5]}}}"


def test_zero_as_a_lower_bound_may_be_a_limit_by_nature():
    found, _ = warnings_of(best_at(0.0, "BAYESIAN", (0.0, 1.0)))
    assert "widen it only if values below 0 have a meaning" in found[0]


def test_there_is_nothing_to_say_of_lists_of_what_is_no_longer_searched_and_of_no_result():
    listed = results_with({"p": ("GRID", [1, 2, 3])}, [{"p": 3}, {"p": 2}], [0.4, 0.1])
    fixed = results_with({}, [{"p": 3.0}, {"p": 2.0}], [0.4, 0.1])
    failed = results_with({"p": ("BAYESIAN", [0, 1])}, [{"p": 1.0}], [0.4], failed=(0,))
    for results in (listed, fixed, failed):
        assert warnings_of(results) == ([], None)
    assert PREFIX + "p" in listed.best.parameters
