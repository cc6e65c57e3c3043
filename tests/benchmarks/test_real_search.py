"""The benchmark of the search on real training: it trains what an experiment trains, and judges pairs of searches."""

import json
import logging
from pathlib import Path

import pytest

from benchmarks import _real_search_report, real_search
from benchmarks._optimisers import OPTIMISERS
from benchmarks._searches import read
from benchmarks._trained import Trained
from powerbench.cli import main
from powerbench.search import Outcome
from tests.driver.world import World
from tests.search.searching import space
from tests.training import tiny

TRIALS, SEED = 6, 3
METHODS = {
    "contrastive": {"ContrastiveLoss": {"neg_margin~BAYESIAN~": [0, 1]}},
    "failing": {tiny.named("LossThatIsNan"): {"at~CHOICE_BAYESIAN~": [1, 2]}},
}


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("real_search"))


@pytest.fixture(name="suite", scope="module")
def _suite(world):
    """The file of a suite in the tiny world."""
    methods = {name: {"overrides": {"loss_funcs~OVERRIDE~": {"metric_loss": loss}}} for name, loss in METHODS.items()}
    shared = {"config_general": ["default", str(world.folder / "tiny.yaml")]}
    return world.write("s", {"trials": TRIALS, "reproductions": 1, **shared, "methods": methods})


def trained(suite: Path, method: str, folder: Path) -> Trained:
    return Trained(f"{suite}:{method}", SEED, folder=folder, cache=folder / "cache")


@pytest.mark.slow
def test_a_search_is_that_of_a_real_experiment_to_the_last_bit(world, suite, tmp_path):
    words = ["--root_experiment_folder", str(world.root), "--cache_dir", str(world.folder / "cache")]
    assert main(["suite", str(suite), "--methods", "[contrastive]", "--seed", str(SEED), *words]) == 0
    rows = [(kind, json.loads(text), mean, sem) for _, kind, _, text, _, _, mean, sem in world.rows("trials")]
    stored = {kind: [row[1:] for row in rows if row[0] == kind] for kind in ("search", "reproduction")}
    assert len({mean for _, mean, _ in stored["search"]}) > 1
    objective = trained(suite, "contrastive", tmp_path)
    trials = OPTIMISERS["ours"](objective.space, objective, TRIALS, 1, SEED)
    found = [(trial.parameters, trial.outcome.mean, trial.outcome.sem) for trial in trials]
    assert found == stored["search"]
    ((parameters, mean, sem),) = stored["reproduction"]
    assert objective.anew(parameters, 0) == Outcome(mean, sem)


@pytest.mark.slow
def test_a_trial_that_fails_is_a_failed_outcome(suite, tmp_path):
    objective = trained(suite, "failing", tmp_path)
    assert objective({objective.space.parameters[0].path: 2}) == Outcome(None, failed=True)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [1, 2])
def test_ax_searches_any_range_and_goes_on_after_a_failure(parallel):
    searched = space(**{"a/b": ("LOG_BAYESIAN", [0.1, 10]), "n": ("INT_BAYESIAN", [1, 9])})
    asked = []

    def objective(point):
        asked.append(point)
        return Outcome(None, failed=True) if len(asked) == 2 else Outcome(-abs(point["a/b"] - 1) - abs(point["n"] - 4))

    trials = OPTIMISERS["ax"](searched, objective, 7, parallel, 0)
    assert [trial.parameters for trial in trials] == asked
    assert [trial.outcome.failed for trial in trials] == [False, True, *[False] * 5]
    assert all(0.1 <= point["a/b"] <= 10 and type(point["n"]) is int and 1 <= point["n"] <= 9 for point in asked)
    assert max(trial.outcome.mean for trial in trials[5:]) > -2
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.slow
def test_searches_of_a_seed_share_their_training_and_a_second_call_runs_none_again(world, suite, tmp_path, capsys):
    def run(*optimisers):
        words = ["--tasks", f"{suite}:contrastive", "--seeds", "2", "--trials", "2", "--output", str(tmp_path)]
        real_search.main([*words, "--optimisers", *optimisers])
        return capsys.readouterr().out

    assert "2 searches to run" in run("ours")
    assert "2 searches to run" in run("ours", "sobol")
    assert "0 searches to run" in run("ours", "sobol")
    rows = {(row["optimiser"], row["seed"]): row for row in read(tmp_path / "searches.jsonl", _real_search_report.KEY)}
    for seed in (0, 1):  # the first points of our search are those of Sobol's sequence
        ours, sobol = (rows[optimiser, seed] for optimiser in ("ours", "sobol"))
        assert len(ours["values"]) == 2
        assert (ours["values"], ours["anew"]) == (sobol["values"], sobol["anew"])
        assert ours["best"] == ours["values"].index(max(ours["values"]))
        assert len(set(ours["anew"])) == real_search.ANEW
    assert rows["ours", 0]["values"] != rows["ours", 1]["values"]
    table = (tmp_path / "real_search.md").read_text()
    assert f"| {suite}:contrastive | 2 | sobol | 2 |" in table
    assert "| +0.00 [+0.00, +0.00] | 0, 2, 0 | " in table
    assert (tmp_path / "real_search.png").stat().st_size > 10_000


def row(optimiser, seed, values, anew=(0.1, 0.1), told="nothing", task="t:m"):
    job = {"task": task, "optimiser": optimiser, "told": told, "seed": seed, "trials": len(values), "version": 3}
    succeeded = [value for value in values if value is not None]
    place = values.index(max(succeeded)) if succeeded else None
    return {**job, "values": values, "best": place, "anew": list(anew), "training_cpu": 4.0, "search_cpu": 2.0}


def test_searches_are_judged_in_pairs_of_a_seed(tmp_path):
    rows = [
        row("ours", 0, [0.2, None, 0.4, 0.3], anew=(0.30, 0.32)),
        row("ours", 1, [0.1, 0.2, 0.2, 0.2], anew=(0.20, 0.22)),
        row("ours", 2, [0.1, 0.2]),
        row("ax", 1, [0.1, 0.1, 0.1, 0.3], anew=(0.25, 0.27)),
        row("ax", 0, [0.2, 0.1, 0.3, 0.3], anew=(0.28, 0.30)),
        row("ax", 2, [0.1, 0.2, 0.2, 0.2]),
        row("ax", 0, [0.4, 0.1, 0.1, 0.1], told="folds"),
    ]
    other, told = _real_search_report.pairs_of(rows)
    assert (other.other, told.other) == ("ax", "ax, told folds")
    assert other.differences() == pytest.approx([0.1, -0.1])
    assert other.reached() == ([3, float("inf")], [float("inf"), 4])
    assert other.differences_anew() == pytest.approx([0.02, -0.05])
    assert other.noise() == pytest.approx(0.02 / 2**0.5)
    assert told.differences() == [0]
    _real_search_report.write(rows, tmp_path)
    table = (tmp_path / "real_search.md").read_text()
    assert (
        "| t:m | 4 | ax | 2 | 30.00 | 30.00 | +0.00 [-127.06, +127.06] | 1, 0, 1 | 3 | 4 | 26.00 | 27.50 "
        "| -1.50 [-45.97, +42.97] | 1.41 | 1.00 | 0.50 | 0.50 |" in table
    )
    assert "| t:m | ax, told folds | 0 | 40.00 | 3 | 40.00 | 1 | +0.00 |" in table


def test_failures_leave_a_table_and_a_plot(tmp_path):
    rows = [
        *(row("ours", seed, [None, 0.2]) for seed in (0, 1, 2, 3)),
        row("ax", 0, [0.1, None]),
        row("ax", 1, [None, None], anew=()),
        row("ax", 2, [0.1, 0.3]),
        row("ax", 3, [0.1, 0.3], anew=(None, 0.1)),
    ]
    assert "all trials failed" in _real_search_report.line(rows[5])
    (pairs,) = _real_search_report.pairs_of(rows)
    assert [one["seed"] for one in pairs.ours] == [0, 2]
    _real_search_report.write(rows, tmp_path)
    assert "| t:m | 2 | ax | 2 | 20.00 | 20.00 | +0.00" in (tmp_path / "real_search.md").read_text()
    assert (tmp_path / "real_search.png").stat().st_size > 10_000
