import pytest

from powerbench.config.merged import MergedConfig
from powerbench.config.search_keys import fill, first_values, search_keys
from powerbench.errors import UserError

CONFIG = MergedConfig(
    {
        "config_loss_and_miners": {
            "loss_funcs": {"metric_loss": {"L": {"a~BAYESIAN~": [0, 2], "b~LOG_BAYESIAN~": [1e-3, 1], "c": 1}}},
            "mining_funcs": {"tuple_miner": {"p/q.py:M": {"n~INT_BAYESIAN~": [1, 9]}}},
        },
        "config_general": {"ties~CHOICE_BAYESIAN~": ["a", "b"], "seed~GRID~": [3, 1, 2]},
    },
    {("loss_funcs",): "f.yaml", ("seed",): "command line"},
)


def one(key, value):
    return MergedConfig({"config_general": {"trainer": {"T": {key: value}}}}, {("trainer",): "f.yaml"})


def test_searched_keys_have_slash_paths_in_the_configs_order():
    keys = {key.path: key for key in search_keys(CONFIG)}
    assert list(keys) == [
        "loss_funcs/metric_loss/L/a", "loss_funcs/metric_loss/L/b", "mining_funcs/tuple_miner/p/q.py:M/n", "ties", "seed",
    ]  # fmt: skip
    a, n, ties = keys["loss_funcs/metric_loss/L/a"], keys["mining_funcs/tuple_miner/p/q.py:M/n"], keys["ties"]
    assert (a.operator, a.value, a.where, a.choices) == ("BAYESIAN", (0.0, 2.0), "f.yaml", False)
    assert (n.operator, n.value, n.keys[-2:]) == ("INT_BAYESIAN", (1, 9), ("p/q.py:M", "n"))
    assert (ties.value, ties.choices) == (("a", "b"), True)
    assert keys["seed"].where == "command line"


def test_filling_gives_the_plain_config():
    values = {key.path: i for i, key in enumerate(search_keys(CONFIG))}
    assert fill(CONFIG, values) == {
        "loss_funcs": {"metric_loss": {"L": {"a": 0, "b": 1, "c": 1}}},
        "mining_funcs": {"tuple_miner": {"p/q.py:M": {"n": 2}}},
        "ties": 3,
        "seed": 4,
    }
    assert list(first_values(CONFIG).values()) == [0.0, 1e-3, 1, "a", 3]


def test_filling_needs_exactly_the_searched_keys():
    for values in ({}, {**first_values(CONFIG), "more": 1}):
        with pytest.raises(ValueError, match="do not fit"):
            fill(CONFIG, values)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("x~BAYESIAN~", [1, 0], "reversed ([1, 0]); write [0, 1]"),
        ("x~BAYESIAN~", [1, 1], "write x: 1"),
        ("x~LOG_BAYESIAN~", [0, 1], "above 0"),
        ("x~LOG_BAYESIAN~", [-1, 1], "above 0"),
        ("x~BAYESIAN~", [0, "1"], "two numbers"),
        ("x~BAYESIAN~", [0, True], "two numbers"),
        ("x~BAYESIAN~", [0, float("inf")], "two numbers"),
        ("x~BAYESIAN~", [0, float("nan")], "two numbers"),
        ("x~BAYESIAN~", [0, 1, 2], "two numbers"),
        ("x~BAYESIAN~", 3, "two numbers"),
        ("x~BAYESIAN~", None, "two numbers"),
        ("x~INT_BAYESIAN~", [1, 2.5], "whole numbers"),
        ("x~INT_BAYESIAN~", [2, 1], "reversed"),
        ("x~CHOICE_BAYESIAN~", ["a"], "two or more different"),
        ("x~CHOICE_BAYESIAN~", ["a", "a"], "two or more different"),
        ("x~CHOICE_BAYESIAN~", ["a", [1]], "two or more different"),
        ("x~GRID~", "a", "two or more different"),
        ("x~GRID~", {"a": 1}, "two or more different"),
    ],
)
def test_bad_bounds_are_told_with_file_and_path(key, value, told):
    with pytest.raises(UserError) as caught:
        search_keys(one(key, value))
    assert str(caught.value).startswith("f.yaml, trainer/T/x: ")
    assert told in str(caught.value)


def test_true_and_one_are_different_choices():
    assert search_keys(one("x~GRID~", [True, 1]))[0].value == (True, 1)
