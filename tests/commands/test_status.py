"""What runs, how far, what is left, what failed: for people and for programs."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from powerbench.cli import main
from powerbench.driver.log import ExperimentLog
from powerbench.jobs import Failure
from powerbench.store.store import Store
from tests.commands.stored import make_root, store_of
from tests.meta_logs.synthetic_experiments import PROTOCOL

SPLITS = {**PROTOCOL, "split_checksums": ["a", "b"]}


@pytest.fixture(name="status")
def _status(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no_user_file"))

    def run(*words):
        code = main(["status", *words, "--root_experiment_folder", str(tmp_path / "root")])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def begin(root: Path, store: Store, name: str = "begun", done: int = 3):
    """An experiment of 4 search trials and 2 reproductions on 2 folds, with ``done`` fold runs of 90 s."""
    from tests.driver.results import result

    row = store.create_experiment(
        name, {}, "c", SPLITS, "f", 0, {"trials": 4, "reproductions": [0, 1]}, str(root / name)
    )
    for number in range(done):
        trial = store.add_trial(row.id, "search", number // 2, {"x": 1.0})
        store.add_run(trial.id, number % 2, number, f"search_{number // 2}/{number % 2}")
        store.finish_run(trial.id, number % 2, result(seconds=90.0))
        if number % 2:
            store.finish_trial(trial.id, 0.5, 0.1)
    return row


def test_a_finished_experiment_takes_one_line(status, tmp_path):
    make_root(tmp_path / "root", {"a": 0.0}, trials=2, reproductions=2, folds=1)
    code, out, _ = status()
    assert code == 0
    assert out == "a: finished (2 search trials, 2 reproductions, 3 evaluations)\n"


def test_a_stopped_experiment_says_what_is_left_and_how_long_it_may_take(status, tmp_path):
    with store_of(tmp_path / "root") as store:
        begin(tmp_path / "root", store)
    out = status("begun")[1]
    assert "begun: stopped: nobody works on it; the same command continues" in out
    assert "1 of 4 done" in out
    assert "3 of 12 done" in out
    assert "0 of 3 done" in out
    assert "9 fold runs x 90 s (mean of 3 done)" in out


def test_the_numbers_for_programs(status, tmp_path):
    with store_of(tmp_path / "root") as store:
        begin(tmp_path / "root", store)
    found = json.loads(status("begun", "--json")[1])["experiments"][0]
    assert found["state"] == "stopped"
    assert found["driver"] is None
    assert found["search"] == {"done": 1, "failed": 0, "planned": 4}
    assert found["reproductions"] == {"done": 0, "failed": 0, "planned": 2}
    assert found["fold_runs"] == {"done": 3, "failed": 0, "planned": 12}
    assert found["evaluations"] == {"done": 0, "failed": 0, "planned": 3}
    estimate = found["estimate"]
    assert estimate["seconds_left"] == pytest.approx(9 * 90 / estimate["workers"])
    assert found.keys() == {
        "name", "state", "driver", "search", "reproductions", "single", "fold_runs", "evaluations", "at_work",
        "failed", "estimate",
    }  # fmt: skip


def test_a_living_driver_and_its_jobs_are_shown(status, tmp_path):
    root = tmp_path / "root"
    with store_of(root) as store:
        row = begin(root, store)
        with store.lease(row.id, root / "begun"):
            log = ExperimentLog(root / "begun" / "log.jsonl")
            log.write("report", trial="search:0", fold=1, text="of an earlier session")
            log.write("resume", pid=1)
            for fold in (0, 1):
                log.write("report", trial="search:1", fold=fold, text=f"epoch {fold + 3} of 9")
            log.write("fold_run", trial="search:1", fold=0, state="done")
            out = status()[1]
            found = json.loads(status("--json")[1])["experiments"][0]
    assert f"running (process {os.getpid()} on " in out
    assert "search:1 fold 1: epoch 4 of 9" in out
    assert "earlier session" not in out
    assert [(job["trial"], job["fold"]) for job in found["at_work"]] == [("search:1", 1)]
    assert (found["driver"]["pid"], found["driver"]["alive"]) == (os.getpid(), True)


def test_a_lease_whose_driver_is_gone_is_named_stale(status, tmp_path):
    root = tmp_path / "root"
    with store_of(root) as store:
        row = begin(root, store)
        store.acquire_lease(row.id)._stop.set()
    leave_behind(root)
    code, out, _ = status("begun")
    assert code == 0
    assert "begun: stale: its driver" in out
    assert "is gone; nothing is lost, the same command continues" in out


def leave_behind(root):
    """As if the process of every lease had ended."""
    connection = sqlite3.connect(root / "results.sqlite")
    connection.execute("update leases set process_started = '1'")
    connection.commit()
    connection.close()


def test_failed_fold_runs_are_listed_with_their_reason(status, tmp_path):
    from tests.driver.results import result

    root = tmp_path / "root"
    with store_of(root) as store:
        row = begin(root, store, done=2)
        trial = store.add_trial(row.id, "search", 1, {"x": 2.0})
        store.add_run(trial.id, 1, 7, "search_1/1")
        store.finish_run(trial.id, 1, result(failure=Failure("nan", "the loss is NaN\nin epoch 2")))
    out = status("begun")[1]
    assert "search:1 fold 1: nan: the loss is NaN in epoch 2" in out
    assert "python run.py rerun begun" in out
    assert "9 fold runs x" in out


def test_a_complete_grid_is_the_search_that_was_planned(status, tmp_path):
    config = {"config_loss_and_miners": {"loss_funcs": {"metric_loss": {"L": {"a~GRID~": [1, 2, 3]}}}}}
    with store_of(tmp_path / "root") as store:
        protocol = {**SPLITS, "search_strategy": "any"}
        store.create_experiment("g", config, "c", protocol, "f", 0, {"trials": 10, "reproductions": []}, "/g")
    found = json.loads(status("--json")[1])["experiments"][0]
    assert found["search"]["planned"] == 3
    assert found["estimate"] is None


def test_a_repeated_trial_of_another_experiment_counts_as_planned(status, tmp_path):
    with store_of(tmp_path / "root") as store:
        budget = {"trials": 0, "reproductions": [0], "repeats": 5}
        row = store.create_experiment("r", {}, "c", SPLITS, "f", 0, budget, "/r")
        store.finish_trial(store.add_trial(row.id, "search", 5, {}).id, 0.5, None)
    found = json.loads(status("--json")[1])["experiments"][0]
    assert found["search"] == {"done": 1, "failed": 0, "planned": 1}
    assert found["fold_runs"]["planned"] == 4
    assert found["evaluations"]["planned"] == 2


def test_unknown_names_and_no_store(status, tmp_path):
    assert status()[1].startswith("no experiments in ")
    assert status("begun")[0] == 2
    assert json.loads(status("--json")[1]) == {"experiments": []}
    assert not list(tmp_path.iterdir())
    with store_of(tmp_path / "root") as store:
        begin(tmp_path / "root", store)
    assert "Did you mean begun?" in status("begum")[2]


@pytest.mark.slow
def test_status_and_compare_import_neither_torch_nor_ax(tmp_path):
    root = make_root(tmp_path / "root", {"a": 0.0, "b": 0.1}, trials=1, reproductions=2, folds=1)
    code = (
        "import sys\nfrom powerbench.cli import main\n"
        f"place = ['--root_experiment_folder', {str(root)!r}]\n"
        "assert main(['status', *place]) == main(['compare', 'a', 'b', *place]) == 0\n"
        "heavy = {'torch', 'ax', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True, env=environment)
