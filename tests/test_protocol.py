import pytest

from powerbench.errors import UserError
from powerbench.protocol import CHANGED_MIDWAY, continued, differences, fingerprint, refuse_unfair


def test_equal_protocols_have_equal_fingerprints_whatever_their_order():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_differences_name_keys_and_can_ignore_some():
    first, second = {"a": 1, "b": 2, "c": None}, {"a": 1, "b": 3}
    assert differences(first, second) == ["b", "c"]
    assert differences(first, second, ignoring=["b"]) == ["c"]


def test_other_split_checksums_are_a_consequence_of_another_split_manager():
    first = {"split_manager": "A", "split_checksums": [1]}
    assert differences(first, {"split_manager": "B", "split_checksums": [2]}) == ["split_manager"]
    assert differences(first, {"split_manager": "A", "split_checksums": [2]}) == ["split_checksums"]


def test_a_protocol_that_changed_midway_names_the_keys_for_good():
    before, after = {"patience": 3, "trials": 2}, {"patience": 9, "trials": 4}
    assert continued(before, {"patience": 3, "trials": 4}) == {"patience": 3, "trials": 4}
    mixed = continued(before, after)
    assert mixed == {**after, CHANGED_MIDWAY: ["patience"]}
    assert continued(mixed, after) == mixed
    assert differences(mixed, after) == [CHANGED_MIDWAY]


def test_an_unfair_table_is_refused_by_naming_methods_and_keys():
    refuse_unfair({"a": {"x": 1}, "b": {"x": 1}})
    with pytest.raises(UserError, match=r"a and c are not comparable.*differ in x"):
        refuse_unfair({"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 2}})
