import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerbench.config.keys import Key, parse_key
from powerbench.config.language import merge
from powerbench.errors import UserError

OPTIMIZERS = {
    "optimizers": {"trunk_optimizer": {"RMSprop": {"lr": 1, "m": 0.9}}, "embedder_optimizer": {"Adam": None}},
    "trainer": {"MetricLossOnly": {"batch_size": 32, "iterations_per_epoch": 100}},
}


def changed(new, base=OPTIMIZERS):
    before = copy.deepcopy(base)
    result = merge(base, new, "test.yaml")
    assert base == before
    return result


def refusal(new, base=OPTIMIZERS):
    with pytest.raises(UserError) as caught:
        merge(base, new, "test.yaml")
    assert str(caught.value).startswith("test.yaml")
    return str(caught.value)


def test_mappings_merge_and_everything_else_replaces():
    assert merge({"a": {"x": 1, "y": [1]}}, {"a": {"y": [2], "z": 3}}, "f") == {"a": {"x": 1, "y": [2], "z": 3}}
    assert merge({"a": {"x": 1}}, {"a": 5}, "f") == {"a": 5}
    assert merge({"a": {"x": 1}}, {"a": None}, "f") == {"a": None}
    assert merge({"a": 5}, {"a": {"x": 1}}, "f") == {"a": {"x": 1}}


def test_override_replaces_also_deep_inside():
    assert merge({"a": {"x": 1}}, {"a~OVERRIDE~": {"y": 2}}, "f") == {"a": {"y": 2}}
    assert merge({"a": {"b": {"x": 1}, "c": 1}}, {"a": {"b~OVERRIDE~": {"y": 2}}}, "f") == {
        "a": {"b": {"y": 2}, "c": 1}
    }
    assert merge({}, {"a~OVERRIDE~": {"b~OVERRIDE~": 1, "c": {"d~BAYESIAN~": [0, 1]}}}, "f") == {
        "a": {"b": 1, "c": {"d~BAYESIAN~": [0, 1]}}
    }


def test_delete_removes_every_variant_and_forgives_absence():
    assert merge({"a": {"x~BAYESIAN~": [0, 1], "y": 1}}, {"a": {"x~DELETE~": None}}, "f") == {"a": {"y": 1}}
    assert merge({"a": 1}, {"b~DELETE~": 3}, "f") == {"a": 1}


def test_apply_reaches_every_value_at_its_depth():
    assert changed({"trainer~APPLY~2": {"batch_size": 256}})["trainer"] == {
        "MetricLossOnly": {"batch_size": 256, "iterations_per_epoch": 100}
    }
    assert changed({"optimizers~APPLY~3": {"lr": 7, "new": 1}})["optimizers"] == {
        "trunk_optimizer": {"RMSprop": {"lr": 7, "m": 0.9, "new": 1}},
        "embedder_optimizer": {"Adam": {"lr": 7, "new": 1}},
    }
    assert changed({"trainer~APPLY~1": {"Other": 1}})["trainer"].keys() == {"MetricLossOnly", "Other"}


def test_apply_merges_one_level_only_and_takes_operators():
    base = {"a": {"b": {"x": {"p": 1}, "lr": 1}}}
    assert merge(base, {"a~APPLY~2": {"x": {"q": 2}}}, "f") == {"a": {"b": {"x": {"q": 2}, "lr": 1}}}
    searched = merge(base, {"a~APPLY~2": {"lr~LOG_BAYESIAN~": [1, 2], "x~DELETE~": None}}, "f")
    assert searched == {"a": {"b": {"lr~LOG_BAYESIAN~": [1, 2]}}}


def test_swap_renames_the_only_key_or_the_named_one():
    for new in ({"Cascaded": None}, {"Cascaded": {}}, {"MetricLossOnly": "Cascaded"}):
        assert changed({"trainer~SWAP~1": new})["trainer"] == {"Cascaded": OPTIMIZERS["trainer"]["MetricLossOnly"]}
    assert changed({"trainer~SWAP~1": {"MetricLossOnly": None}}) == OPTIMIZERS
    swapped = changed({"optimizers~SWAP~2": {"Adam": "SGD"}})["optimizers"]
    assert swapped == {"trunk_optimizer": {"RMSprop": {"lr": 1, "m": 0.9}}, "embedder_optimizer": {"SGD": None}}
    assert list(changed({"optimizers~SWAP~1": {"trunk_optimizer": "x"}})["optimizers"]) == ["x", "embedder_optimizer"]
    assert merge({"a": {"x~BAYESIAN~": [0, 1]}}, {"a~SWAP~1": {"y": None}}, "f") == {"a": {"y~BAYESIAN~": [0, 1]}}


WRAPPER = {"Memory": {"loss": None, "size~INT_BAYESIAN~": [1, 9]}}


def test_wrap_puts_a_class_around_each_value_once():
    base = {"losses": {"a": {"L": {"m~BAYESIAN~": [0, 1]}}, "b": "M"}}
    wrapped = {name: {"Memory": {"size~INT_BAYESIAN~": [1, 9], "loss": old}} for name, old in base["losses"].items()}
    assert merge(base, {"losses~WRAP~2": WRAPPER}, "f") == {"losses": wrapped}
    assert merge({"losses": wrapped}, {"losses~WRAP~2": WRAPPER}, "f") == {"losses": wrapped}
    other = {"losses~WRAP~2": {"Memory": {"loss": None, "size": 5}}}
    assert merge({"losses": {"b": wrapped["b"]}}, other, "f") == {"losses": {"b": {"Memory": {"size": 5, "loss": "M"}}}}
    assert merge({"k": {"L": None}}, {"k~WRAP~1": {"W": {"x": None}}}, "f") == {"k": {"W": {"x": {"L": None}}}}


def test_a_later_value_drops_older_variants_in_place():
    base = {"a": {"x~BAYESIAN~": [0, 1], "y": 1}}
    for key, value, expected in [
        ("x", 0.5, {"x": 0.5, "y": 1}),
        ("x~OVERRIDE~", 0.5, {"x": 0.5, "y": 1}),
        ("x~LOG_BAYESIAN~", [1, 2], {"x~LOG_BAYESIAN~": [1, 2], "y": 1}),
        ("y~GRID~", [1, 2], {"x~BAYESIAN~": [0, 1], "y~GRID~": [1, 2]}),
    ]:
        result = merge(base, {"a": {key: value}}, "f")
        assert result == {"a": expected}
        assert list(result["a"]) == list(expected)


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ({"trainer~SWAP~1": {"X": {"a": 1}}}, "trainer~SWAP~1 {X: null} and trainer~APPLY~2 {a: 1}"),
        ({"trainer~SWAP~1": "X"}, "takes {New: null} or {Old: New}"),
        ({"trainer~SWAP~1": {}}, "takes {New: null}"),
        ({"trainer~SWAP~1": {"X": None, "Y": None}}, "takes {New: null}"),
        ({"trainer~SWAP~1": {"X": 3}}, "takes {New: null}"),
        ({"trainer~SWAP~1": {"MetricLosOnly": "X"}}, "Did you mean MetricLossOnly"),
        ({"optimizers~SWAP~1": {"x": None}}, "exactly one key"),
        ({"trainer~SWAP~4": {"x": None}}, "no mapping at depth 4"),
        ({"optimizers~SWAP~1": {"trunk_optimizer": "embedder_optimizer"}}, "both"),
        ({"trainer~APPLY~2": 5}, "takes a mapping"),
        ({"trainer~APPLY~9": {"a": 1}}, "nothing at depth 9"),
        ({"trianer~APPLY~2": {"a": 1}}, "Did you mean trainer"),
        ({"trianer~SWAP~1": {"a": None}}, "not set yet"),
        ({"trainer~WRAP~1": "X"}, "one argument that is null"),
        ({"trainer~WRAP~1": {"X": None}}, "one argument that is null"),
        ({"trainer~WRAP~1": {"X": {"a": None, "b": None}}}, "one argument that is null"),
        ({"trainer~WRAP~1": {"X": {"a": None}, "Y": {"a": None}}}, "one argument that is null"),
        ({"trainer~WRAP~9": {"X": {"a": None}}}, "nothing at depth 9"),
        ({"trianer~WRAP~1": {"X": {"a": None}}}, "Did you mean trainer"),
        ({"trainer~APPLY~0": {}}, "depth of 1 or more"),
        ({"trainer~APPLY~": {}}, "trainer~APPLY~2"),
        ({"trainer~APLY~2": {}}, "Did you mean trainer~APPLY~N"),
        ({"trainer~OVERRIDE": {}}, "Did you mean trainer~OVERRIDE~"),
        ({"trainer~OVERRIDE~3": {}}, "takes no depth"),
        ({"trainer~APPLY~2:": {}}, "colon too much"),
        ({3: {}}, "not text"),
        ({"trainer": 1, "trainer~BAYESIAN~": [0, 1]}, "given twice"),
        ({"trainer": {"a": [{"b~BAYESIAN~": [0, 1]}]}}, "inside a list"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_right_spelling(new, told):
    assert told in refusal(new)


def test_a_searched_value_cannot_be_applied_to():
    assert "searched" in refusal({"x~APPLY~1": {"a": 1}}, {"x~BAYESIAN~": [0, 1]})


def test_apply_leaves_searched_values_alone():
    base = {"a": {"b": {"lr~BAYESIAN~": [0, 1], "c": {"d": 1}}}}
    assert merge(base, {"a~APPLY~3": {"e": 2}}, "f") == {"a": {"b": {"lr~BAYESIAN~": [0, 1], "c": {"d": 1, "e": 2}}}}


def test_origins_follow_the_values():
    origins = {}
    first = merge({}, {"a": {"b": {"x": 1, "y": 2}}, "s": {"Old": {"k": 1}}}, "one", origins)
    second = merge(first, {"a": {"b": {"y": 3}}, "s~SWAP~1": {"New": None}}, "two", origins)
    merge(second, {"a~APPLY~2": {"z": 1}}, "three", origins)
    assert origins[("a", "b", "x")] == "one"
    assert origins[("a", "b", "y")] == "two"
    assert origins[("a", "b", "z")] == "three"
    assert origins[("s", "New")] == "two"
    assert ("s", "Old") not in origins
    merge(second, {"a~WRAP~2": {"W": {"inside": None, "k": 1}}}, "four", origins)
    assert (origins[("a", "b", "W")], origins[("a", "b", "W", "k")]) == ("four", "four")
    assert origins[("a", "b", "W", "inside", "x")] == "one"
    assert ("a", "b", "x") not in origins


def test_users_classes_are_plain_keys():
    for raw in ("path/to/my_loss.py:MyLoss", "~/code/my_loss.py:MyLoss"):
        assert parse_key(raw, "") == Key(raw)
    assert str(parse_key("a~APPLY~2", "")) == "a~APPLY~2"
    assert str(parse_key("a~GRID~", "")) == "a~GRID~"


NAMES = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.text("xyz", max_size=3), st.lists(st.integers(0, 3), max_size=2)
)
CONFIGS = st.dictionaries(
    NAMES, st.recursive(SCALARS, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8), max_size=4
)


def naive_merge(base, new):
    result = dict(base)
    for key, value in new.items():
        both = isinstance(result.get(key), dict) and isinstance(value, dict)
        result[key] = naive_merge(result[key], value) if both else value
    return result


@settings(deadline=None, max_examples=50)
@given(CONFIGS, CONFIGS)
def test_plain_merging_is_deep_merging(base, new):
    merged = merge(base, new, "f")
    assert merged == naive_merge(base, new)
    assert merge(merged, new, "f") == merged
    assert merge(base, {}, "f") == base
    assert merge({}, base, "f") == base


@settings(deadline=None, max_examples=50)
@given(CONFIGS, CONFIGS, CONFIGS)
def test_merging_mappings_is_associative_when_no_scalar_meets_a_mapping(a, b, c):
    def shaped(config):
        return {key: value for key, value in config.items() if isinstance(value, dict) == (key in "ab")}

    a, b, c = ({k: v if not isinstance(v, dict) else {"l": list(v)} for k, v in shaped(x).items()} for x in (a, b, c))
    assert merge(merge(a, b, "f"), c, "f") == merge(a, merge(b, c, "f"), "f")


@settings(deadline=None, max_examples=50)
@given(CONFIGS, NAMES, SCALARS | CONFIGS)
def test_override_is_idempotent_and_exact(base, name, value):
    once = merge(base, {f"{name}~OVERRIDE~": value}, "f")
    assert once == {**base, name: value}
    assert merge(once, {f"{name}~OVERRIDE~": value}, "f") == once


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(NAMES, CONFIGS, min_size=1), st.data())
def test_swap_keeps_values_and_is_idempotent(base, data):
    key = data.draw(st.sampled_from(sorted(base)))
    inner = {"Old": base[key]}
    for new in ({"New": None}, {"Old": "New"}):
        once = merge({**base, key: inner}, {f"{key}~SWAP~1": new}, "f")
        assert once == {**base, key: {"New": base[key]}}
        assert merge(once, {f"{key}~SWAP~1": new}, "f") == once


@settings(deadline=None, max_examples=50)
@given(CONFIGS, CONFIGS)
def test_apply_at_depth_one_is_a_shallow_update(base, new):
    once = merge({"k": base}, {"k~APPLY~1": new}, "f")
    assert once == {"k": {**base, **new}}
    assert merge(once, {"k~APPLY~1": new}, "f") == once
