"""Several writers at once, and writers killed at any moment."""

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from store_results import make_experiment

from powerbench.store.store import Store

PATH_OF_HELPERS = str(Path(__file__).parent)

WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from store_results import evaluation, train_result
from powerbench.store.store import Store
store = Store.open(sys.argv[1])
experiment = store.experiment(sys.argv[2])
number = len(store.trials(experiment.id))
print("ready", flush=True)
while number < int(sys.argv[4]):
    trial = store.add_trial(experiment.id, "search", number, {"x": number / 7})
    for fold in range(2):
        store.add_run(trial.id, fold, fold, f"search_{number}/{fold}")
        store.finish_run(trial.id, fold, train_result(fold, values=[number / 3] * 50))
    store.record_evaluation(trial.id, evaluation([number / 3, number / 9]))
    store.finish_trial(trial.id, number / 3, 0.1)
    store.refresh_summaries(experiment.id)
    number += 1
"""


def start_writer(path, name, count):
    command = [sys.executable, "-c", WRITER, str(path), name, PATH_OF_HELPERS, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_write_two_experiments_without_loss(store, tmp_path):
    ids = [make_experiment(store, tmp_path, name).id for name in ("a", "b")]
    writers = [start_writer(store._database.path, name, 15) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdout.close()
    for experiment_id in ids:
        trials = store.trials(experiment_id)
        assert [(trial.number, trial.mean, trial.state) for trial in trials] == [(i, i / 3, "done") for i in range(15)]
        runs = [run for trial in trials for run in store.runs(trial.id)]
        assert len(runs) == 30
        assert {len(store.measurements(run.id)) for run in runs} == {51}


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_whole_transactions(tmp_path):
    path, generator = tmp_path / "results.sqlite", random.Random(0)
    with Store.open(path) as store:
        experiment = make_experiment(store, tmp_path)
    kills = 0
    for _ in range(12):
        writer = start_writer(path, "first", 10_000)
        assert writer.stdout.readline() == "ready\n"
        time.sleep(generator.uniform(0.0, 0.25))
        writer.kill()
        writer.wait()
        writer.stdout.close()
        kills += writer.returncode == -9
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        with Store.open(path) as store:
            trials = store.trials(experiment.id)
            assert [trial.number for trial in trials] == list(range(len(trials)))
            for trial in trials:
                for run in store.runs(trial.id):
                    expected = (50, 50) if run.state == "done" else (0, 0)
                    trained = [row for row in store.measurements(run.id) if row.split == "val"]
                    assert (len(trained), len(store.losses(run.id))) == expected
                if trial.state == "done":
                    assert len(store.evaluations(trial.id)) == 2
    assert kills == 12
    assert len(trials) > 12
