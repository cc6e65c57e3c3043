"""Faults that need a process of their own to be seen whole: limits of the system, other processes, closed pipes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest

from powerbench.cli import main
from tests.driver.world import World
from tests.faults.conftest import SIZE
from tests.faults.running import PROGRAM, Scene, differences, outcome, was_killed

pytestmark = pytest.mark.slow

ON_A_NETWORK_FOLDER = (
    "-c",
    "import sys; import powerbench.store.database as database; database.is_shared = lambda folder: True; "
    "from powerbench.cli import main; sys.exit(main())",
)


@pytest.fixture(name="scene")
def _scene(world):
    return Scene(world)


def wait_for(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_largest_file_allowed_is_reached(scene, tmp_path_factory):
    """A small limit stops the store, a larger one a checkpoint of a wide embedder: a message, and nothing is lost."""
    wide = ("--models", "{embedder~OVERRIDE~: {MLP: {layer_sizes: [300, 300]}}}")
    undisturbed = World(tmp_path_factory.mktemp("wide"))
    assert undisturbed.run("t", *wide) == 0
    words = scene.world.words("t", *wide)
    for limit, file in ((50_000, "results.sqlite"), (800_000, "checkpoint.pth")):
        ended = scene.run(words, largest_file=limit)
        assert ended.status == 1, ended
        assert file in ended.errors
        assert "the same command goes on" in ended.errors
        assert "Traceback" not in ended.errors
    assert scene.world.rows("runs")[0][5] == "running"
    assert main(words) == 0
    assert differences(outcome(scene.world), outcome(undisturbed)) == []


def test_two_launches_at_once(scene, expected, capsys):
    words = scene.world.words("t", **SIZE)
    started = time.monotonic()
    process = scene.start(words)
    wait_for(lambda: any(scene.world.root.rglob("checkpoint.pth")))
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "Another process is working in" in said or "Another driver" in said
    assert scene.ended(process, started).status == 0
    assert differences(outcome(scene.world), expected) == []
    assert scene.finished_twice() == []


@pytest.mark.faults
def test_two_experiments_at_once_share_the_store(scene, expected):
    other = Scene(scene.world)
    other.said = scene.world.folder / "said_too"
    words = scene.world.words("u", **SIZE)
    started = time.monotonic()
    process = other.start(words)
    assert scene.run(scene.world.words("t", **SIZE)).status == 0
    assert other.ended(process, started).status == 0
    trials = scene.world.rows("trials")
    assert [row[1:] for row in trials if row[0] == "u"] == [row[1:] for row in expected["trials"]]
    assert [row for row in trials if row[0] == "t"] == expected["trials"]


@pytest.mark.faults
def test_a_worker_killed_in_the_midst_of_its_work(scene, expected):
    started = time.monotonic()
    process = scene.start(scene.world.words("t", "--workers", "2", **SIZE))
    wait_for(lambda: any(scene.world.root.rglob("checkpoint.pth")))
    workers = [
        child for child in psutil.Process(process.pid).children() if "powerbench.execution.worker" in child.cmdline()
    ]
    workers[0].kill()
    assert scene.ended(process, started).status == 0
    assert differences(outcome(scene.world), expected) == []


def test_a_store_on_a_network_folder(scene, expected):
    words = scene.world.words("t", **SIZE)
    ended = scene.run(words, program=ON_A_NETWORK_FOLDER, fault="transaction:3")
    assert was_killed(ended)
    assert "shared between hosts" in ended.errors
    assert "the slower rollback journal is used" in ended.errors
    store = scene.world.root / "results.sqlite"
    assert not store.with_name("results.sqlite-wal").exists()
    assert store.with_name("results.sqlite-journal").exists()  # of the transaction that died
    assert scene.run(words, program=ON_A_NETWORK_FOLDER).status == 0
    connection = sqlite3.connect(store)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
    assert differences(outcome(scene.world), expected) == []


@pytest.mark.faults
def test_nobody_reads_the_output(scene, expected):
    words = scene.world.words("t", **SIZE)
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, *PROGRAM, *words], cwd=scene.world.folder, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert process.returncode == 3
    assert process.stderr.endswith("nobody reads the output any more; the same command continues.\n")
    assert "Traceback" not in process.stderr
    assert main(words) == 0
    assert differences(outcome(scene.world), expected) == []
