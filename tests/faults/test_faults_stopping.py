"""A stop that is asked for: within seconds, with advice, exit status 3; the same command again ends the same."""

from __future__ import annotations

import os
import signal
import time

import pytest

from powerbench.cli import main
from powerbench.driver.stopping import GRACE_SECONDS
from tests.faults.running import Scene, differences, outcome
from tests.faults.variants import VARIANTS

pytestmark = pytest.mark.slow

SIZE = {"trials": 3, "reproductions": 1}
TRAINED, PARALLEL = VARIANTS[1], VARIANTS[2]
WAYS = {
    "SIGTERM, as clusters send it": (TRAINED, signal.SIGTERM, False),
    "Ctrl-C, which a terminal sends to the whole group": (PARALLEL, signal.SIGINT, True),
}


@pytest.fixture(name="expected", scope="module")
def _expected(tmp_path_factory):
    """What the undisturbed searches leave, by variant."""
    found = {}
    for variant in (TRAINED, PARALLEL):
        world = variant.world(tmp_path_factory.mktemp(variant.name))
        assert main(variant.words(world, **SIZE, workers=1)) == 0
        found[variant.name] = outcome(world)
    return found


def started_fold_runs(scene: Scene) -> int:
    return len(list(scene.world.root.glob("t/*/*/checkpoint.pth")))


def wait_until_training(scene: Scene) -> None:
    deadline = time.monotonic() + 120
    while not started_fold_runs(scene):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("way", WAYS)
def test_a_signal_stops_cleanly_and_the_same_command_continues(way, tmp_path, expected, trained):
    variant, number, whole_group = WAYS[way]
    world = variant.world(tmp_path)
    scene, words = Scene(world), variant.words(world, **SIZE)
    started = time.monotonic()
    process = scene.start(words)
    wait_until_training(scene)
    asked = time.monotonic()
    (os.killpg if whole_group else os.kill)(process.pid, number)
    ended = scene.ended(process, started)
    assert time.monotonic() - asked < GRACE_SECONDS + 10
    assert ended.status == 3, ended
    assert "the same command continues" in ended.errors
    assert "Traceback" not in ended.errors
    assert main(variant.words(world, **SIZE, workers=1)) == 0
    assert differences(outcome(world), expected[variant.name]) == []
    assert scene.finished_twice(trained) == []


def test_time_that_is_over_stops_cleanly(tmp_path, expected):
    world = TRAINED.world(tmp_path)
    scene, words = Scene(world), TRAINED.words(world, **SIZE)
    ended = scene.run([*words, "--stop_after", "1s"])
    assert ended.status == 3, ended
    assert "its time is over" in ended.errors
    assert "the same command continues" in ended.errors
    assert main([*words, "--stop_after", "1h"]) == 0
    assert differences(outcome(world), expected[TRAINED.name]) == []


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGINT, 0.5), (signal.SIGTERM, 1.2), (signal.SIGINT, 2.0)])
def test_a_signal_during_start_up_leaves_at_once(number, seconds, tmp_path):
    world = TRAINED.world(tmp_path)
    scene = Scene(world)
    started = time.monotonic()
    process = scene.start(TRAINED.words(world, **SIZE))
    time.sleep(seconds)
    os.killpg(process.pid, number)
    ended = scene.ended(process, started)
    assert ended.seconds < seconds + 8
    assert ended.status == 3, ended
    assert ended.errors.endswith("nothing finished is lost, the same command continues.\n")
    assert "Traceback" not in ended.errors


@pytest.mark.faults
def test_a_second_signal_ends_at_once(tmp_path):
    world = TRAINED.world(tmp_path)
    scene = Scene(world)
    started = time.monotonic()
    process = scene.start(TRAINED.words(world, **SIZE))
    wait_until_training(scene)
    for _ in range(2):
        os.kill(process.pid, signal.SIGTERM)
        time.sleep(0.3)
    ended = scene.ended(process, started)
    assert ended.status == 3, ended
    assert "Traceback" not in ended.errors
