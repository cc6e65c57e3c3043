"""Search spaces: what the operators mean and what is refused."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from searching import Key, space

from powerbench.errors import UserError
from powerbench.search import Parameter, space_of
from powerbench.search.space import canonical

PATH = "loss_funcs/metric_loss/ContrastiveLoss/pos_margin"


def test_operators_give_parameters():
    keys = [
        Key(PATH, "BAYESIAN", [0, 1]),
        Key("optimizers/metric_loss_optimizer/RMSprop/lr", "LOG_BAYESIAN", [1e-6, 1]),
        Key("sampler/MPerClassSampler/m", "INT_BAYESIAN", [2, 8]),
        Key("mining_funcs/tuple_miner", "CHOICE_BAYESIAN", ["a", None]),
        Key("batch", "GRID", [32, 64]),
    ]
    assert space_of(keys).parameters == (
        Parameter(PATH, "float", 0.0, 1.0),
        Parameter("optimizers/metric_loss_optimizer/RMSprop/lr", "float", 1e-6, 1.0, log=True),
        Parameter("sampler/MPerClassSampler/m", "int", 2, 8),
        Parameter("mining_funcs/tuple_miner", "choice", values=("a", None)),
        Parameter("batch", "grid", values=(32, 64)),
    )


@pytest.mark.parametrize(
    ("operator", "value", "message"),
    [
        ("BAYESIAN", [1, 0], "a lower bound below the upper one, not [1, 0]"),
        ("BAYESIAN", [1, 1], "a lower bound below"),
        ("BAYESIAN", [0, 1, 2], "two numbers, written [low, high]"),
        ("BAYESIAN", 3, "two numbers"),
        ("BAYESIAN", ["0", 1], "two numbers"),
        ("BAYESIAN", [False, True], "two numbers"),
        ("BAYESIAN", [0, math.inf], "two numbers"),
        ("BAYESIAN", [math.nan, 1], "two numbers"),
        ("LOG_BAYESIAN", [0, 1], "bounds above 0"),
        ("LOG_BAYESIAN", [-2, -1], "bounds above 0"),
        ("INT_BAYESIAN", [1, 2.5], "whole numbers"),
        ("CHOICE_BAYESIAN", [], "a list of values"),
        ("CHOICE_BAYESIAN", "abc", "a list of values"),
        ("GRID", {"a": 1}, "a list of values"),
        ("GRID", [1, 2, 1], "a value twice"),
        ("SWAP", [1, 2], "not a search operator"),
    ],
)
def test_mistakes_name_the_key_and_the_file(operator, value, message):
    with pytest.raises(UserError) as caught:
        space_of([Key(PATH, operator, value)])
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"config.yaml: {PATH}~{operator}~ ")


def test_a_key_under_two_operators_is_refused():
    with pytest.raises(UserError, match=r"p is searched by ~BAYESIAN~ and ~GRID~"):
        space_of([Key("p", "BAYESIAN", [0, 1]), Key("p", "GRID", [0, 1])])


def test_the_version_follows_every_detail():
    versions = [
        space(a=("BAYESIAN", [1, 2])),
        space(a=("BAYESIAN", [1, 3])),
        space(a=("LOG_BAYESIAN", [1, 2])),
        space(a=("INT_BAYESIAN", [1, 2])),
        space(b=("BAYESIAN", [1, 2])),
        space(a=("GRID", [1, 2])),
        space(a=("GRID", [2, 1])),
        space(a=("GRID", [1, True])),
        space(a=("CHOICE_BAYESIAN", [1, 2])),
        space(a=("BAYESIAN", [1, 2]), b=("BAYESIAN", [1, 2])),
    ]
    assert len({each.version for each in versions}) == len(versions)
    assert space(a=("BAYESIAN", [1, 2])).version == versions[0].version


def test_the_grid_is_complete_and_its_last_parameter_changes_fastest():
    grid = space(a=("GRID", [1, 2, 3]), b=("CHOICE_BAYESIAN", ["x", None]), c=("GRID", [[128], {"k": 1}]))
    points = [grid.grid_point(index) for index in range(grid.grid_size)]
    expected = itertools.product([1, 2, 3], ["x", None], [[128], {"k": 1}])
    assert points == [{"a": a, "b": b, "c": c} for a, b, c in expected]
    assert list(points[0]) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="12 points"):
        grid.grid_point(12)


def test_a_range_has_no_grid():
    with pytest.raises(UserError, match=r"but b is searched in a range; write b~GRID~: \[...\]"):
        _ = space(a=("GRID", [1]), b=("INT_BAYESIAN", [1, 2])).grid_size


def test_discrete_values_have_equal_bins():
    number = space(n=("INT_BAYESIAN", [-1, 2])).parameters[0]
    units = [i / 400 for i in range(400)]
    values = [number.from_unit(unit) for unit in units]
    assert [values.count(value) for value in (-1, 0, 1, 2)] == [100] * 4
    assert {type(value) for value in values} == {int}
    assert number.from_unit(1.0) == 2
    choice = space(c=("CHOICE_BAYESIAN", [None, True, 1, 1.0])).parameters[0]
    assert [choice.from_unit(unit) for unit in (0.1, 0.3, 0.6, 0.9)] == [None, True, 1, 1.0]
    assert [choice.position(value) for value in (None, True, 1, 1.0, "x")] == [0, 1, 2, 3, None]


def test_log_scale_is_even_in_the_logarithm():
    lr = space(lr=("LOG_BAYESIAN", [1e-6, 1.0])).parameters[0]
    assert lr.from_unit(0.5) == pytest.approx(1e-3)
    assert (lr.from_unit(0.0), lr.from_unit(1.0)) == (pytest.approx(1e-6), 1.0)


@given(
    low=st.floats(1e-12, 1e12),
    factor=st.floats(1.0000001, 1e6),
    unit=st.floats(0, 1),
    operator=st.sampled_from(["BAYESIAN", "LOG_BAYESIAN"]),
)
def test_floats_stay_within_their_bounds(low, factor, unit, operator):
    high = low * factor
    value = space(p=(operator, [low, high])).parameters[0].from_unit(unit)
    assert isinstance(value, float)
    assert low <= value <= high


def test_canonical_text_tells_types_apart_and_ignores_the_order_of_keys():
    assert len({canonical(value) for value in (1, 1.0, True, "1", [1], None)}) == 6
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    with pytest.raises(TypeError, match="set cannot be searched"):
        canonical({1, 2})
