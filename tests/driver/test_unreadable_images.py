"""Images that cannot be read: the run stops before anything is trained, or they are left out and recorded."""

import contextlib
import json
import sqlite3

import pytest

from powerbench.cli import main
from tests.datasets.making import picture
from tests.driver.world import World

NAMES = [f"class {label:02d}/{n}.png" for label in range(8) for n in range(5)]


@pytest.fixture
def world(tmp_path):
    for number, name in enumerate(NAMES):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(picture(number, kind="PNG"))
    (tmp_path / "data" / NAMES[3]).write_bytes(picture(3, kind="PNG")[:-30])
    (tmp_path / "data" / NAMES[17]).write_text("<html>")
    (tmp_path / "data" / NAMES[30]).write_bytes((tmp_path / "data" / NAMES[0]).read_bytes())
    return World(tmp_path)


def words(world, *more):
    dataset = ["--dataset~OVERRIDE~", "{ImageFolder:", "{root:", f"{world.folder / 'data'}}}}}"]
    return world.words("one", *dataset, *more)


def test_an_unreadable_image_stops_the_run_before_it_begins(world, capsys):
    assert main(words(world)) == 2
    error = capsys.readouterr().err
    assert "2 of 40 images cannot be read" in error
    assert NAMES[3] in error
    assert NAMES[17] in error
    assert not (world.root / "one").exists()


def test_the_data_are_checked_on_request(world, capsys):
    assert main(["validate", *words(world)]) == 0
    capsys.readouterr()
    assert main(["validate", *words(world), "--with_data"]) == 2
    output, error = capsys.readouterr()
    assert f"ImageFolder: class folders in {world.folder}/data" in output
    assert "40 images of 8 classes" in output
    assert "unreadable: 2; grayscale (used as RGB): none" in output
    assert f"{world.folder}/data/{NAMES[17]} (it is no image)" in output
    assert "identical copies: 1; groups with different classes: 1" in output
    assert f"{NAMES[0]}, {NAMES[30]}" in output
    assert "train and val 0, train and test 0, val and test 0" in output
    assert "2 images cannot be read; nothing would be trained" in error
    assert main(["validate", *words(world, "--skip_unreadable", "True"), "--with_data"]) == 0
    assert "left out (skip_unreadable): 2" in capsys.readouterr().out
    assert not world.root.exists()


@pytest.mark.slow
def test_unreadable_images_are_left_out_on_request_and_recorded(world, capsys):
    assert main(words(world, "--skip_unreadable", "True")) == 0
    assert "2 unreadable images are left out" in capsys.readouterr().err
    with contextlib.closing(sqlite3.connect(world.root / "results.sqlite")) as store:
        ((protocol, fingerprint),) = store.execute("select protocol, protocol_fingerprint from experiments").fetchall()
    assert json.loads(protocol)["skipped_images"] == [NAMES[3], NAMES[17]]
    assert NAMES[17] in (world.root / "one/record.json").read_text()
    for name in (NAMES[3], NAMES[17]):
        (world.folder / "data" / name).write_bytes(picture(kind="PNG"))
    world.forget()
    assert main(words(world, "--skip_unreadable", "True")) == 0
    with contextlib.closing(sqlite3.connect(world.root / "results.sqlite")) as store:
        ((protocol, other),) = store.execute("select protocol, protocol_fingerprint from experiments").fetchall()
    assert json.loads(protocol)["skipped_images"] == []
    assert other != fingerprint
