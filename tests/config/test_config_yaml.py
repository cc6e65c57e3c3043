import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from powerbench.config.yaml_text import dump_yaml, flow, parse_yaml, read_yaml
from powerbench.errors import UserError


def refusal(text, where="f.yaml"):
    with pytest.raises(UserError) as caught:
        parse_yaml(text, where)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-2e3", -2000.0),
        ("1.5e3", 1500.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("+3", 3),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b11", 3),
        ("017", 15),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1:30", "1:30"),
        ("2020-01-02", "2020-01-02"),
        ("1e", "1e"),
        ("e5", "e5"),
        ("08", "08"),
        ("0.1.2", "0.1.2"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1e-4'", "1e-4"),
        ("[a, 1e-4]", ["a", 1e-4]),
        ("cuda:0", "cuda:0"),
        ("{a: {b: }}", {"a": {"b": None}}),
        ("{X}", {"X": None}),
        ("{p/q.py:Loss}", {"p/q.py:Loss": None}),
    ],
)
def test_scalars_are_what_people_mean(text, value):
    parsed = parse_yaml(text, "f")
    assert parsed == value
    assert type(parsed) is type(value)


def test_duplicate_keys_are_told_with_file_and_line(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("a: 1\nb:\n  x: 1\n  x: 2\n")
    with pytest.raises(UserError) as caught:
        read_yaml(file)
    assert str(caught.value) == f"{file}, line 4: duplicate key 'x'."


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{a: 1", "expected"),
        ("{a:1}", "space after the colon in 'a:1': write a: 1"),
        ("[{a: {b:c}}]", "space after the colon in 'b:c'"),
        ("{embedder~OVERRIDE~ {a: 1}}", "missing after embedder~OVERRIDE~"),
        ("a: b: c", "mapping values are not allowed"),
        ("!!python/object:os.system x", "could not determine a constructor"),
        ("? [a]\n: b", "a key must be text"),
        ("0b_", "bad YAML"),
        ("\x00", "bad YAML"),
    ],
)
def test_bad_yaml_is_explained(text, told):
    assert told in refusal(text)


def test_anchors_and_merge_keys_work(tmp_path):
    assert parse_yaml("{a: &x {b: 1}, c: *x, d: {<<: *x, b: 2}}", "f") == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 2}}


def test_files_must_hold_mappings(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("# nothing\n")
    assert read_yaml(file) == {}
    file.write_text("[1]")
    with pytest.raises(UserError, match="key: value"):
        read_yaml(file)
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="cannot be read"):
        read_yaml(file)
    with pytest.raises(UserError, match="cannot be read"):
        read_yaml(tmp_path / "absent.yaml")


def test_flow_is_what_one_types():
    assert flow({"a": [1, None]}) == "{a: [1, null]}"
    assert flow("x") == "x"


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8),
              st.from_regex(r"[-+]?[0-9._:eExb]{1,6}", fullmatch=True)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc~:_1e ", min_size=1, max_size=6), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@example({"a": "\x85", "b": ["x\u2028y"]})
@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), VALUES, max_size=4))
def test_what_is_written_is_read_back(value):
    from powerbench.config import yaml_text

    text = dump_yaml(value)
    assert yaml_text.yaml.load(text, yaml_text._Loader) == value


def test_long_keys_stay_on_their_line_and_are_read_back():
    for length in (100, 127, 128, 300, 499, 500, 700):
        content = {"losses": {"/" + "x" * length + ".py:Loss": {"margin": 1}, "é \"'#:" * (length // 6): 2}}
        text = dump_yaml(content)
        assert parse_yaml(text, "here") == content
        assert ("? " in text) == (length >= 499)
