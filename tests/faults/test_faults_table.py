"""Faults of the machine and of its users: each row of docs/faults.md, seen through the command line."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from powerbench.cli import main
from powerbench.errors import PowerbenchError
from powerbench.store.process import this_process
from powerbench.training import checkpoints
from tests.faults.conftest import SIZE
from tests.faults.running import differences, outcome
from tests.training import tiny

pytestmark = pytest.mark.slow


@pytest.fixture(name="run")
def _run(world, capsys):
    """Run the search; its exit status must be the given one, and what it said is returned."""

    def run(*more: str, status: int = 0, **size: int) -> str:
        assert world.run("t", *more, **(size or SIZE)) == status, capsys.readouterr()
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return said.err + said.out

    return run


def interrupt(monkeypatch: pytest.MonkeyPatch, run, calls: int = 1) -> None:
    """End the search when a fold run has its last checkpoint, before its result is written."""
    finish, seen = checkpoints.finish, []

    def fail(*arguments):
        seen.append(arguments)
        if len(seen) == calls:
            raise PowerbenchError("interrupted by the test")
        finish(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "finish", fail)
        assert "interrupted by the test" in run(status=1)


@pytest.mark.parametrize("left", [0, 0.5], ids=["empty", "half"])
def test_a_truncated_checkpoint(left, world, run, monkeypatch, expected, trained):
    interrupt(monkeypatch, run)
    (path,) = world.root.rglob("checkpoint.pth")
    os.truncate(path, int(left * path.stat().st_size))
    assert "starts afresh" in run()
    assert differences(outcome(world), expected) == []
    assert len(trained) == len(set(trained)) == 6


def test_a_torn_record(copied, run, capsys, expected, trained):
    record = copied.root / "t" / "record.json"
    os.truncate(record, record.stat().st_size // 2)
    before = outcome(copied)
    elsewhere = ["--root_experiment_folder", str(copied.folder / "elsewhere")]
    assert main(["report", str(record.parent), *elsewhere]) == 2
    assert "not a whole record" in capsys.readouterr().err
    assert outcome(copied) == before
    run()
    assert main(["report", str(record.parent), *elsewhere]) == 0
    assert differences(outcome(copied), expected) == []
    assert trained == []


def test_a_locked_store(world, run, monkeypatch, expected, trained):
    monkeypatch.setattr("powerbench.store.database.BUSY_SECONDS", 0.2)
    finish, others = checkpoints.finish, []

    def lock_afterwards(*arguments):
        finish(*arguments)
        if len(trained) == 3 and not others:
            others.append(sqlite3.connect(world.root / "results.sqlite", isolation_level=None))
            others[0].execute("BEGIN IMMEDIATE")

    monkeypatch.setattr(checkpoints, "finish", lock_afterwards)
    said = run(status=1)
    assert "database is locked" in said
    assert "the same command goes on" in said
    others[0].execute("DELETE FROM leases")  # that process has ended, this one has not
    others[0].execute("COMMIT")
    others[0].close()
    run()
    assert differences(outcome(world), expected) == []
    assert len(trained) == len(set(trained)) == 6


def test_flags_that_differ_on_resume(copied, run, expected):
    said = run("--save_interval", "1", "--patience", "3", status=2)
    assert "save_interval" in said
    assert "patience" in said
    assert "--merge_argparse_when_resuming" in said
    assert differences(outcome(copied), expected) == []


def image_folder(folder: Path) -> tuple[str, str]:
    """The tiny world's images as files; the flag that names them."""
    source = tiny.TinyImages()
    for item, label in enumerate(source.index.labels[:, 0]):
        path = folder / f"class_{label:02}" / f"{item}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        source.image(item).save(path)
    return "--dataset~OVERRIDE~", f"{{ImageFolder: {{root: {folder}}}}}"


def test_a_corrupt_image(world, run, trained):
    images = world.folder / "images"
    flag = image_folder(images)
    broken = images / "class_03" / "20.png"
    whole = broken.read_bytes()
    broken.write_bytes(bytes(len(whole)))
    assert f"1 of 72 images cannot be read: {broken} (it is no image)" in run(*flag, trials=1, status=2)
    broken.write_bytes(whole)
    run(*flag, trials=1)
    broken.write_bytes((images / "class_04" / "24.png").read_bytes())
    assert "dataset_checksum changed" in run(*flag, trials=2, status=2)
    broken.write_bytes(whole)
    run(*flag, trials=2)
    assert [row[4] for row in world.rows("trials")] == ["done", "done"]
    assert len(trained) == len(set(trained)) == 4


def test_a_class_with_one_image(world, run):
    images = world.folder / "images"
    flag = image_folder(images)
    for label in (2, 9):  # one of the training classes, one of the test classes
        for path in sorted((images / f"class_{label:02}").iterdir())[1:]:
            path.unlink()
    run(*flag)
    assert {row[4] for row in world.rows("trials")} == {"done"}
    assert all(0 <= row[7] <= 1 for row in world.rows("evaluations"))


@pytest.mark.parametrize("content", [b"", b"no weights", None], ids=["empty", "text", "absent"])
def test_unreadable_weights_of_a_trained_model(content, copied, run, expected):
    path = min(copied.root.glob("t/reproduction_0/*/embedder_best.pth"))
    whole = path.read_bytes()
    path.unlink() if content is None else path.write_bytes(content)
    said = run("--evaluate", "--splits_to_eval", "[train]", status=2)
    assert str(path) in said
    for table, rows in copied.everything().items():
        assert set(expected[table]) <= set(rows)  # nothing recorded is lost
    path.write_bytes(whole)
    run("--evaluate", "--splits_to_eval", "[train]")
    assert {row[1] for row in copied.rows("evaluations") if row[3] == "train"} == {"search", "reproduction"}


def test_unreadable_pretrained_weights(world, run):
    weights = world.folder / "weights.pth"
    weights.write_bytes(b"no weights")
    trunk = f"{{trunk~OVERRIDE~: {{resnet18: {{weights: {weights}}}}}}}"
    assert f"the weights file {weights} " in run("--models", trunk, status=2)
    assert not world.root.exists()


def test_a_loss_that_is_nan(world, run):
    loss = f"{{metric_loss: {{'{tiny.named('LossThatIsNan')}': {{at~CHOICE_BAYESIAN~: [3, 1000000]}}}}}}"
    assert world.run("t", "--loss_funcs~OVERRIDE~", loss, trials=4, search=False) == 0
    states = {row[4]: row[5:7] for row in world.rows("trials")}
    assert states["failed"] == ("nan", None)
    assert states["done"][1] is not None


@pytest.mark.parametrize(
    ("flag", "below", "status"),
    [("--root_experiment_folder", "", 2), ("--cache_dir", "", 1), ("--results_db", "results.sqlite", 2)],
)
def test_a_path_whose_parent_is_a_file(flag, below, status, world, capsys):
    (world.folder / "file").write_text("mine")
    place = str(world.folder / "file" / "deeper" / below)
    frozen = f"{{trunk~OVERRIDE~: {{'{tiny.named('tiny_trunk')}': {{pretrained: True}}}}}}"
    words = world.words(
        "t", "--freeze_trunk", "True", "--models", frozen, "--transforms", "{train~OVERRIDE~: {}}", **SIZE
    )
    if flag in words:
        words[words.index(flag) + 1] = place
    else:
        words += [flag, place]
    assert main(words) == status
    said = capsys.readouterr().err
    assert str(world.folder / "file") in said
    assert "Traceback" not in said
    assert (world.folder / "file").read_text() == "mine"


def test_a_file_where_the_experiment_should_be(world, run):
    world.root.mkdir()
    (world.root / "t").write_text("mine")
    assert "is a file" in run(status=2)
    assert [path.name for path in world.root.iterdir()] == ["t"]


def test_a_disk_that_is_full_for_a_while(world, run, monkeypatch, expected, trained):
    """The disk refuses one write, each attempt a later one, until the command comes through."""
    sync, writes, failures = os.fsync, [], []

    def full_once(descriptor):
        writes.append(descriptor)
        if len(writes) == 13 * (len(failures) + 1):
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full_once)
    while world.run("t", **SIZE) == 1:
        failures.append(writes.copy())
        writes.clear()
    assert len(failures) > 3
    assert differences(outcome(world), expected) == []
    assert len(trained) == len(set(trained)) == 6


def test_a_clock_that_moved(world, run, monkeypatch, expected, trained):
    interrupt(monkeypatch, run, calls=3)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    for path in world.folder.rglob("*"):
        os.utime(path, (real() + 86_400,) * 2)
    run()
    assert differences(outcome(world), expected) == []
    assert len(trained) == len(set(trained)) == 6


def lease(world, **values: object) -> None:
    """A lease of the experiment, as if another driver held it."""
    me = this_process()
    row = {"token": "theirs", "host": me.host, "machine": me.machine, "pid": 2**22 + 1, "process_started": "1"}
    row |= {"since": time.time(), "heartbeat": time.time(), "experiment_id": 1, **values}
    connection = sqlite3.connect(world.root / "results.sqlite")
    with connection:
        names = ", ".join(row)
        connection.execute(f"INSERT INTO leases ({names}) VALUES ({', '.join('?' * len(row))})", [*row.values()])
    connection.close()


def test_a_stale_lease(world, run, monkeypatch, expected, trained):
    interrupt(monkeypatch, run, calls=2)
    lease(world, host="elsewhere", machine="x")  # alive: its heartbeat is fresh
    before = world.everything()
    said = run(status=2)
    assert "on elsewhere" in said
    assert "Wait for it, or stop it first" in said
    assert world.everything() == before
    connection = sqlite3.connect(world.root / "results.sqlite")
    with connection:
        connection.execute("UPDATE leases SET heartbeat = heartbeat - 3600")
    connection.close()
    run()
    lease(world)  # of a process of this machine that is gone: no waiting
    (world.root / "t" / "record.json").unlink()
    run()
    assert differences(outcome(world), expected) == []
    assert len(trained) == len(set(trained)) == 6
