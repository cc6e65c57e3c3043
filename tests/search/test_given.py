"""First trials that the user gives are checked against what is searched, before anything is trained."""

import pytest

from powerbench.errors import UserError
from powerbench.search.given import given_points
from powerbench.search.space import Parameter, Space

MARGIN, LR, LOSS_LR, M, KIND = (
    "loss_funcs/metric_loss/TripletMarginLoss/margin",
    "optimizers/embedder_optimizer/RMSprop/lr",
    "optimizers/metric_loss_optimizer/RMSprop/lr",
    "sampler/MPerClassSampler/m",
    "mining_funcs/tuple_miner/TripletMarginMiner/type_of_triplets",
)
SPACE = Space(
    (
        Parameter(MARGIN, "float", 0.0, 1.0),
        Parameter(LR, "float", 1e-6, 1.0, log=True),
        Parameter(LOSS_LR, "float", 1e-6, 1.0, log=True),
        Parameter(M, "int", 1, 8),
        Parameter(KIND, "choice", values=("hard", "all")),
    )
)
GOOD = {KIND: "all", "margin": 0, "embedder_optimizer/RMSprop/lr": 1e-5, LOSS_LR: 0.1, "m": 4}


def points(*given):
    return given_points(SPACE, given, where="suite.yaml, first_trials")


def test_parameters_are_named_by_path_or_by_what_tells_them_apart():
    (point,) = points(GOOD)
    assert point == {MARGIN: 0.0, LR: 1e-5, LOSS_LR: 0.1, M: 4, KIND: "all"}
    assert list(point) == [parameter.path for parameter in SPACE.parameters]
    assert [type(value) for value in point.values()] == [float, float, float, int, str]


def test_none_are_none():
    assert points() == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"margn": 1}, "margin"),
        ({"lr": 0.1}, f"{LR}, {LOSS_LR}"),
        ({MARGIN: 0.1}, "two values"),
        ({"margin": 1.5}, r"\[0, 1\]"),
        ({"margin": float("nan")}, "a number"),
        ({"margin": True}, "a number"),
        ({"margin": "0.5"}, "a number"),
        ({"m": 4.0}, "whole number"),
        ({"m": 9}, r"\[1, 8\]"),
        ({KIND: "easy"}, "hard, all"),
    ],
)
def test_a_mistake_is_named_with_its_place(change, said):
    with pytest.raises(UserError, match=said) as caught:
        points({**GOOD, "margin": 0.5}, {**GOOD, **change})
    assert str(caught.value).startswith("suite.yaml, first_trials, number 2: ")


def test_every_searched_parameter_has_a_value():
    with pytest.raises(UserError, match=rf"missing: {MARGIN}, {M}\."):
        points({name: value for name, value in GOOD.items() if name not in ("margin", "m")})


def test_the_same_point_twice_is_a_wasted_trial():
    with pytest.raises(UserError, match=r"number 2: .*twice"):
        points(GOOD, {**GOOD, "margin": 0.0})
