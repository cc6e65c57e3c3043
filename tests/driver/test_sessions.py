"""What a session leaves in the log, what it says of its environment, and failed fold runs trained again."""

import json

import pytest

from powerbench.cli import main
from powerbench.environment import environment_of_process
from powerbench.store.store import Store
from tests.driver.world import World
from tests.training import tiny

pytestmark = pytest.mark.slow


def log_of(world, name="t"):
    return [json.loads(line) for line in (world.root / name / "log.jsonl").read_text().splitlines()]


def places(world):
    return ["--root_experiment_folder", str(world.root), "--cache_dir", str(world.folder / "cache")]


@pytest.fixture(name="searched", scope="module")
def _searched(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("logged"))
    assert world.run("t", "--search_strategy", "random", trials=2, reproductions=1) == 0
    return world


def test_the_log_tells_the_whole_story(searched):
    lines = log_of(searched)
    events = [line["event"] for line in lines]
    assert (events[0], events[-1]) == ("start", "end")
    assert lines[0]["workers"] == 1
    assert lines[0]["budget"] == {"trials": 2, "reproductions": [0]}
    assert lines[0]["environment"]["torch"]
    assert lines[-1]["state"] == "finished"
    assert [line["trial"] for line in lines if line["event"] == "proposal"] == ["search:0", "search:1"]
    runs = [(line["trial"], line["fold"]) for line in lines if line["event"] == "fold_run"]
    assert runs == [(trial, fold) for trial in ("search:0", "search:1", "reproduction:0") for fold in (0, 1)]
    assert sum(line["event"] == "evaluation" for line in lines) == 2
    first = [
        line["text"]
        for line in lines
        if line["event"] == "report" and line["trial"] == "search:0" and line["fold"] == 0
    ]
    assert first[0] == "started"
    assert first[-1].startswith("epoch 4 of 4: map_at_r ")


def test_every_run_and_evaluation_knows_its_setting_and_data(searched):
    with Store.open(searched.root / "results.sqlite") as store:
        experiment = store.experiment("t")
        environments = {row.id: row.content for row in store.environments(experiment.id)}
        used = [run.environment_id for trial in store.trials(experiment.id) for run in store.runs(trial.id)]
    assert None not in used
    for content in environments.values():
        assert content["config_hash"] == experiment.config_hash
        assert content["protocol_fingerprint"] == experiment.protocol_fingerprint
        assert content["dataset_checksum"] == experiment.protocol["dataset_checksum"]
        assert {"torch", "cpu", "git", "device_name", "cuda", "threads", "weights", "user_code"} <= content.keys()


def test_a_changed_environment_is_named_once_when_something_is_computed(world, monkeypatch, capsys):
    assert world.run("t", reproductions=1) == 0
    capsys.readouterr()
    old = environment_of_process()
    monkeypatch.setattr("powerbench.driver.provenance.environment_of_process", lambda: {**old, "torch": "0.4"})
    assert world.run("t", reproductions=1) == 0
    assert "environment" not in capsys.readouterr().err  # nothing was computed
    assert world.run("t", reproductions=2) == 0
    change = f"torch {old['torch']} -> 0.4"
    assert capsys.readouterr().err.count(change) == 1
    assert [line["changes"] for line in log_of(world) if line["event"] == "environment"] == [[change]]


def test_a_failed_session_says_why_it_ended(world):
    loss = f"{{metric_loss: {{{tiny.named('LossThatFails')}: {{at: 1}}}}}}"
    assert world.run("t", "--loss_funcs~OVERRIDE~", loss) == 1
    end = log_of(world)[-1]
    assert (end["event"], end["state"], end["level"]) == ("end", "failed", "error")
    assert "my own mistake" in end["reason"]


@pytest.fixture(name="failed")
def _failed(world):
    """A single trial of which both folds failed, for a reason that ``mended`` removes."""
    world.mended = world.folder / "mended"
    loss = f"{{metric_loss: {{{tiny.named('LossThatFails')}: {{at: 9, unless: {world.mended}}}}}}}"
    assert world.run("t", "--loss_funcs~OVERRIDE~", loss) == 1
    return world


def test_one_failed_fold_run_is_trained_again_then_the_rest(failed, capsys):
    assert main(["rerun", "t", "--trial", "single:0", "--fold", "1", *places(failed)]) == 1  # fails again
    failed.mended.touch()
    (failed.root / "t" / "single" / failed_fold(failed, 1) / "result.json").write_text("{}")
    assert main(["rerun", "t", "--trial", "single:0", "--fold", "1", *places(failed)]) == 1
    states = [run[5] for run in failed.rows("runs")]
    assert states == ["failed", "done"]
    before = failed.rows("measurements")
    capsys.readouterr()
    assert main(["rerun", "t", *places(failed)]) == 0
    assert capsys.readouterr().out.count("is trained again") == 1
    assert [run[5] for run in failed.rows("runs")] == ["done", "done"]
    assert [row for row in failed.rows("measurements") if row[3] == 1] == [row for row in before if row[3] == 1]
    assert failed.rows("trials")[0][4:6] == ("done", None)
    assert main(["rerun", "t", *places(failed)]) == 2


def failed_fold(world, fold):
    (path,) = (world.root / "t" / "single").glob(f"*_{fold}")
    return path.name


def test_what_was_reopened_and_interrupted_goes_on(failed, monkeypatch):
    failed.mended.touch()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("powerbench.commands.experiment.run", interrupted)
        assert main(["rerun", "t", *places(failed)]) == 3
    assert {run[5] for run in failed.rows("runs")} == {"running"}
    assert main(["rerun", "t", *places(failed)]) == 0
    assert {run[5] for run in failed.rows("runs")} == {"done"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["t", "--trial", "search:0"], "Did you mean single:0"),
        (["t", "--trial", "0"], "search:3"),
        (["t", "--fold", "1"], "--fold needs --trial"),
        (["t", "--trial", "single:0", "--fold", "7"], "has no fold 7"),
        (["x"], "there is no experiment x"),
        ([], "one experiment"),
    ],
)
def test_what_cannot_be_run_again_is_named(rerunnable, words, expected, capsys):
    assert main(["rerun", *words, *places(rerunnable)]) == 2
    assert expected in capsys.readouterr().err


@pytest.fixture(name="rerunnable", scope="module")
def _rerunnable(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("rerunnable"))
    loss = f"{{metric_loss: {{{tiny.named('LossThatFails')}: {{at: 1}}}}}}"
    assert world.run("t", "--loss_funcs~OVERRIDE~", loss) == 1
    return world


def test_what_did_not_fail_is_not_trained_again(searched, capsys):
    assert main(["rerun", "t", *places(searched)]) == 2
    assert "nothing failed in t" in capsys.readouterr().err
    assert main(["rerun", "t", "--trial", "search:1", *places(searched)]) == 2
    assert "nothing failed in search:1 of t" in capsys.readouterr().err


def test_data_that_changed_under_an_experiment_are_refused(world, tmp_path, capsys):
    for number in range(16):
        place = tmp_path / "images" / f"class {number // 2}" / f"{number}.ppm"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"P6 8 8 255\n" + bytes([16 * number] * 192))
    data = ("--dataset~OVERRIDE~", f"{{ImageFolder: {{root: {tmp_path / 'images'}}}}}")
    assert world.run("t", *data, reproductions=1) == 0
    before = world.everything()
    moved = (tmp_path / "images").rename(tmp_path / "moved")
    data = ("--dataset~OVERRIDE~", f"{{ImageFolder: {{root: {moved}}}}}")
    assert world.run("t", *data, reproductions=1) == 0  # the same data elsewhere
    changed = moved / "class 7" / place.name
    changed.write_bytes(b"P6 8 8 255\n" + bytes(192))
    capsys.readouterr()
    assert world.run("t", *data, reproductions=2) == 2
    assert "dataset_checksum changed" in capsys.readouterr().err
    assert world.everything() == before
    assert world.run("t", *data, "--merge_argparse_when_resuming", reproductions=2) == 0
    assert world.run("t", *data, reproductions=2) == 0
    with Store.open(world.root / "results.sqlite") as store:
        assert store.experiment("t").protocol["changed_midway"] == ["dataset_checksum"]
