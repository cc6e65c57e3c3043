"""The command that makes and shows progressions, in a world small enough to embed at once."""

import contextlib
import json
import pickle
import re
import sqlite3

import pytest

from powerbench.cli import main
from split_managers.progression import read_progression
from tests.driver.world import World
from tests.training import tiny


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path)
    known = {tiny.named("tiny_trunk"): {"pretrained": True}}
    world.write("known", {"models~OVERRIDE~": {"trunk": known, "embedder": {"MLP": {"layer_sizes": [5]}}}})
    return world


def make(world, *more):
    configs = f"[default, {world.folder / 'tiny.yaml'}, {world.folder / 'known.yaml'}]"
    words = [
        "--config_general",
        configs,
        "--cache_dir",
        str(world.folder / "cache"),
        "--history",
        "2",
        "--n_swaps",
        "3",
    ]
    return main(["progression", "make", "p.json", *words, *more])


@pytest.mark.slow
def test_a_progression_is_made_shown_and_trained_on(world, capsys):
    more = ("--swaps_iter", "1", "--splits", "3", "--shots", "[2, 9]", "--episodes", "2", "--pickle", "p.pkl")
    assert make(world, *more) == 0
    output = capsys.readouterr().out
    assert "no episodes of 9 shots" in output
    progression = read_progression(world.folder / "p.json")
    assert progression.splits[1].train == tuple(f"class {n}" for n in range(6))
    assert progression.made["n_swaps"] == 3
    assert progression.made["features"]["weights"] == "0123"
    assert (world.folder / "p.png").read_bytes().startswith(b"\x89PNG")
    published = pickle.loads((world.folder / "p.pkl").read_bytes())
    assert list(published) == list(progression.splits)

    assert make(world, *more) == 0
    assert make(world, "--swaps_iter", "2") == 2
    assert "p.json is there already and holds something else" in capsys.readouterr().err

    assert main(["progression", "show", "p.pkl", "--figure", "again.png"]) == 0
    assert "again.png" in capsys.readouterr().out
    assert (world.folder / "again.png").is_file()

    split = {
        "split_manager~OVERRIDE~": {"OutOfDistributionSplitManager": {"file": "p.json", "data_hardness": 2, "shots": 2}}
    }
    world.write("split", split)
    words = world.words("ood", "--splits_to_eval", "[test]")
    words[words.index("--config_general") + 1] = (
        f"[default, {world.folder / 'tiny.yaml'}, {world.folder / 'split.yaml'}]"
    )
    assert main(["validate", *words]) == 0
    assert "1 trial on 1 folds" in capsys.readouterr().out
    assert main(words) == 0
    record = json.loads((world.root / "ood/record.json").read_text())
    assert f"OutOfDistribution2_FID{progression.splits[2].fid:.2f}_0" in json.dumps(record)
    with contextlib.closing(sqlite3.connect(world.root / "results.sqlite")) as store:
        ((protocol,),) = store.execute("select protocol from experiments").fetchall()
    assert '"data_hardness": 2' in protocol
    assert "p.json" not in protocol


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["progression"], "progression takes: make FILE.json, or: show FILE"),
        (["progression", "make", "p.txt"], "a progression is written as FILE.json"),
        (["progression", "make", "p.json", "--mode", "monoton"], "Did you mean monotone"),
        (["progression", "show", "none.json"], "none.json cannot be read"),
        (["progression", "show", "evil.pkl"], "it asks for os.system|it asks for posix.system"),
        (["progression", "show", "evil.pkl", "--patience", "3"], "takes no config keys"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(b"cposix\nsystem\n(S'touch escaped'\ntR.")
    assert main(words) == 2
    assert re.search(message, capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pkl"]
