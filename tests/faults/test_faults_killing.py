"""SIGKILL at any moment: the same command again ends with the same store, and trains nothing finished twice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from powerbench.cli import main
from tests.faults.running import Scene, differences, outcome, was_killed
from tests.faults.variants import FAILS, VARIANTS, Variant

pytestmark = pytest.mark.slow

MOMENTS = 20
START = ("store creation:1", "creating the experiment:1", "taking the lease:1", "configs:1")
FIRST = ("proposal, not launched:1", "checkpoint:2", "fold result:1", "finished, not recorded:1")
RECORDING = ("transaction:3", "transaction, later:2")
LATER = ("dropping weights:1", "checkpoint:7", "evaluation:1", "recording an evaluation:2", "evaluation:3")
END = ("summaries:1", "best parameters:2", "report:1", "record:1")
ONE = {
    "frozen": "proposal, not launched:1",
    "trained": "checkpoint:2",
    "frozen_parallel": "transaction:3",
    "trained_parallel": "evaluation:2",
}
"""The place of the short test, which kills during start-up too."""
by_name = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)


def places_of(variant: Variant) -> tuple[str, ...]:
    """The places in the order in which a search comes to them; the last proposal is Ax's, and of a search trial."""
    features = ("features:1",) if "freeze_trunk" in variant.config else ()  # computed by the first fold run
    by_ax = f"proposal, not launched:{4 if variant.workers == 1 else 2}"
    return (*START, *features, *FIRST, *RECORDING, by_ax, *LATER, *END)


def kill_at_places(scene: Scene, words: list[str], places: tuple[str, ...]) -> None:
    """Start the command once for each place, dying there."""
    for place in places:
        assert was_killed(scene.run(words, fault=place)), f"ended without coming to {place}"
    assert scene.hits() == list(places)


def say(text: str) -> None:
    """Pytest shows it after the test (``-rP``)."""
    sys.stdout.write(f"{text}\n")


@by_name
def test_killed_twice_it_ends_where_it_would_have(variant, tmp_path, trained):
    size = {"trials": 3, "reproductions": 1}
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole, broken = variant.world(tmp_path / "whole"), variant.world(tmp_path / "broken")
    assert main(variant.words(whole, **size, workers=1)) == 0
    trained.clear()
    scene = Scene(broken)
    words = variant.words(broken, **size)
    assert was_killed(scene.run(words, kill_after=1.0))
    kill_at_places(scene, words, (ONE[variant.name],))
    assert main(variant.words(broken, **size, workers=1)) == 0
    assert differences(outcome(broken), outcome(whole)) == []
    assert scene.finished_twice(trained) == []


@pytest.mark.faults
@by_name
def test_killed_at_every_place_it_ends_where_it_would_have(variant, tmp_path):
    scene, words, expected, _ = undisturbed(variant, tmp_path)
    places = places_of(variant)
    kill_at_places(scene, words, places)
    assert scene.run(words).status == 0
    different = differences(outcome(scene.world), expected)
    say(f"{variant.name}: killed at {len(places)} named places, {len(different)} differences")
    assert different == []
    assert scene.finished_twice() == []


@pytest.mark.faults
@by_name
def test_killed_at_moments_all_over_its_length_it_ends_where_it_would_have(variant, tmp_path):
    scene, words, expected, seconds = undisturbed(variant, tmp_path)
    kills, different = 0, []
    while kills < MOMENTS:
        scene.forget()
        ended = scene.run(words, kill_after=seconds * (kills + 0.5) / MOMENTS)
        if not was_killed(ended):  # it was quicker than the first: the moments lie closer
            seconds = min(seconds * 0.95, ended.seconds)
            continue
        kills += 1
        ended = scene.run(words)
        assert ended.status == 0, ended
        different += differences(outcome(scene.world), expected)
        different += [f"trained twice: {folder}" for folder in scene.finished_twice()]
    say(f"{variant.name}: killed at {kills} moments in {seconds:.0f} s, {len(different)} differences")
    assert different == []


def undisturbed(variant: Variant, folder: Path) -> tuple[Scene, list[str], dict[str, object], float]:
    """A search that nothing happened to: what it left, and how long it took. The scene is empty again."""
    world = variant.world(folder)
    scene = Scene(world)
    words = variant.words(world, trials=10 if variant.workers > 1 else 7, reproductions=2)
    ended = scene.run(words)
    assert ended.status == 0, ended
    trials = world.rows("trials")
    assert [row[2] for row in trials if row[4] == "failed"] == [FAILS]
    expected = outcome(world)
    scene.forget()
    return scene, words, expected, ended.seconds
