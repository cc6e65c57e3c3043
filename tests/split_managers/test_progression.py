"""Progressions: their files, what must not be read, and how they are made."""

import json
import os
import pickle
import pickletools
import struct

import numpy as np
import pytest

from split_managers import DatasetIndex
from split_managers.making_progressions import ProgressionRecipe, choose, make_progression
from split_managers.progression import HardnessSplit, read_progression, to_json, to_pickle
from split_managers.published_pickle import read_pickle
from tests.split_managers.progressions import dataset, made, published


def test_a_published_pickle_is_read(tmp_path):
    index = dataset(8)
    for name in ("numpy._core.multiarray", "numpy.core.multiarray"):
        content = pickle.dumps(published(index), protocol=3)
        content = content.replace(b"numpy._core.multiarray", name.encode())
        (tmp_path / "p.pkl").write_bytes(content)
        splits = read_progression(tmp_path / "p.pkl").splits
        assert [split.fid for split in splits.values()] == [8.5, 18.5]
        assert splits[1].train == index.class_names[0][:4]
        assert type(splits[1].train[0]) is str
        assert splits[1].episodes[2][1]["class 05"] == ("00001.jpg", "00002.jpg")


def test_both_formats_keep_everything(tmp_path):
    _, progression, _ = made()
    (tmp_path / "p.json").write_text(to_json(progression))
    (tmp_path / "p.pkl").write_bytes(to_pickle(progression))
    assert read_progression(tmp_path / "p.json") == progression
    again = read_progression(tmp_path / "p.pkl").splits
    for number, split in progression.splits.items():
        assert again[number] == HardnessSplit(**{**vars(split), "raw_id": ""})
    plain = pickle.loads(to_pickle(progression))
    assert list(plain[1]) == ["train", "test", "fid", "split_train", "split_val", "test_episodes"]
    assert sorted(plain[1]["test_episodes"]) == [2, 5]
    assert plain[1]["test_episodes"][2][0]["class 12"][0].startswith("class 12/")


@pytest.mark.parametrize(
    ("made_so", "message"),
    [
        ([1], "'made' is no mapping"),
        ({"shots_left_out": 3}, "'shots_left_out' is no list"),
        ({"walk": 3}, "'walk' is no list"),
        ({"walk": [["0", 1.0]]}, "'walk' is no list"),
        ({"walk": [["0", "far", 3]]}, "'walk' is no list"),
    ],
)
def test_how_splits_were_made_has_its_form(tmp_path, made_so, message):
    _, progression, _ = made()
    content = json.loads(to_json(progression)) | {"made": made_so}
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"p.json: {message}"):
        read_progression(tmp_path / "p.json")


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile():
    text = np.dtype("U1")
    yield Calls(os.system, "touch escaped")
    yield Calls(eval, "1+1")
    yield Calls(getattr, "", "join")
    yield {1: Calls(open, "escaped", "w")}
    yield np.array(["a", "b"])
    yield np.array([Calls(os.system, "touch escaped")], dtype=object)
    yield Calls(np.dtype, Calls(os.system, "touch escaped"))
    yield Calls(np._core.multiarray.scalar, np.dtype("O"), b"x")
    yield Calls(np._core.multiarray.scalar, text, Calls(os.system, "touch escaped"))
    yield np.complex128(1)
    yield HardnessSplit(1.0, ("a",), ("b",), ("a",), ())


@pytest.mark.parametrize("value", hostile(), ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("protocol", [0, 2, 3, 5])
def test_whatever_else_a_pickle_asks_for_is_refused(tmp_path, monkeypatch, value, protocol):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="not a published split file"):
        read_pickle(pickle.dumps(value, protocol=protocol))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x03",
        b"not a pickle",
        b"cos\nsystem\n(S'touch escaped'\ntR.",
        b"(S'touch escaped'\nios\nsystem\n.",
        b"\x80\x02cnumpy\ndtype\n}S'a'\nK\x01sb.",
        b"\x80\x02cnumpy\ndtype\n(N}S'__call__'\nK\x01stb.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\n(N}S'__class__'\nK\x01stb.",
        b"\x80\x02cnumpy\ndtype\nU\x01O\x85R.",
        b"\x80\x02cnumpy\ndtype\n)\x81.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02P1\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",
        pickle.dumps(published(dataset(4)), protocol=3)[:-40],
    ],
)
def test_hand_made_and_broken_pickles_are_refused(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="not a published split file"):
        read_pickle(content)
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_cannot_change_how_the_next_one_is_read():
    with pytest.raises(ValueError, match="not a published split file"):
        read_pickle(b"\x80\x02cnumpy\ndtype\n(N}S'kind'\nU\x01Ostb.")
    good = pickle.dumps({1: np.str_("a"), 2: np.float64(0.5), 3: np.int64(7)}, protocol=3)
    assert read_pickle(good) == {1: "a", 2: 0.5, 3: 7}
    names = {op.name for op, _, _ in pickletools.genops(good)}
    assert {"GLOBAL", "REDUCE", "BUILD"} <= names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "it is no powerbench split progression"),
        ('{"format": "powerbench split progression"}', "a part is missing"),
        ('{"format": "powerbench split progression", "splits": {}}', "it holds no splits"),
        ('{"format": "powerbench split progression", "splits": {"1": {"fid": 1}}}', "a part is missing"),
        ("{broken", "Expecting property name"),
    ],
)
def test_other_files_are_refused_with_their_name(tmp_path, content, message):
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_progression(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ValueError, match=r"none.json cannot be read: No such file"):
        read_progression(tmp_path / "none.json")


def test_overlapping_parts_are_refused():
    with pytest.raises(ValueError, match="training and test classes overlap"):
        HardnessSplit(1.0, ("a", "b"), ("b", "c"), ("a",), ("b",))
    with pytest.raises(ValueError, match="the distance is nan"):
        HardnessSplit(float("nan"), ("a",), ("b",), ("a",), ())


@pytest.mark.parametrize("mode", ["monotone", "reference"])
def test_a_progression_is_made_of_any_features(mode):
    index, progression, walked = made(mode=mode, easier=2)
    splits = list(progression.splits.values())
    assert [split.fid for split in splits] == sorted({split.fid for split in splits})
    default = next(split for split in splits if split.raw_id == "0")
    assert default.train == index.class_names[0][:12]
    assert any(state.raw_id == "-2" for state in walked)
    for split in splits:
        assert len(split.train) == len(split.test)
        assert not set(split.train) & set(split.test)
        assert sorted(split.split_train + split.split_val) == sorted(split.train)
        assert len(split.split_train) == 3 * len(split.train) // 4
        assert set(split.episodes) == {2, 5}
    assert progression.made["shots_left_out"] == [10]
    assert progression.made["mode"] == mode


def test_episodes_are_seeded_and_drawn_without_replacement():
    (_, first, walked), (_, same, _), (_, other, others) = made(), made(), made(seed=1)
    assert first == same
    assert [state.train for state in walked] == [state.train for state in others]
    for number, split in first.splits.items():
        assert split.train == other.splits[number].train
        assert split.episodes != other.splits[number].episodes
        assert len(split.episodes[2]) == 3
        for shots, supports in split.episodes.items():
            assert len({json.dumps(support) for support in supports}) == 3
            for support in supports:
                assert set(support) == set(split.test)
                assert all(len(set(names)) == shots for names in support.values())


def test_whole_super_classes_can_be_exchanged():
    base = dataset(12)
    above = base.labels[:, 0] // 2
    index = DatasetIndex(
        np.stack([base.labels[:, 0], above], 1), (base.class_names[0], tuple("uvwxyz")), base.item_names
    )
    features = np.random.default_rng(1).normal(size=(72, 4))
    recipe = ProgressionRecipe(n_swaps=2, swaps_iter=1, history=1, super_level=1, splits=3, mode="reference")
    progression, _ = make_progression(index, features, np.arange(36), np.arange(36, 72), recipe)
    for split in progression.splits.values():
        numbers = sorted(int(name[-2:]) for name in split.train)
        assert all(n + 1 in numbers for n in numbers[::2])
    with pytest.raises(ValueError, match="shares classes of level 0"):
        make_progression(base, features, np.arange(36), np.arange(30, 72), ProgressionRecipe())


def test_kept_states_are_spread_over_the_distance():
    def state(raw, fid):
        return type("S", (), {"raw_id": raw, "fid": fid})()

    walked = [
        state(raw, fid) for raw, fid in (("-4", 3), ("-2", 5), ("0", 10), ("2", 9), ("4", 20), ("R2", 19), ("R4", 40))
    ]
    assert [s.raw_id for s in choose(walked, 3)] == ["-4", "0", "R4"]
    assert [s.raw_id for s in choose(walked, 9)] == ["-4", "-2", "0", "4", "R4"]
    assert [s.raw_id for s in choose(walked, 1)] == ["0"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "other"}, "mode must be monotone or reference"),
        ({"n_swaps": 0}, "n_swaps must be 1 or more, not 0"),
        ({"splits": 0}, "splits must be 1 or more"),
        ({"shots": (0,)}, "shots must be 1 or more"),
        ({"history": -1}, "history"),
    ],
)
def test_impossible_recipes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ProgressionRecipe(**changes)
