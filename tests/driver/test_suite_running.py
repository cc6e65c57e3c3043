"""Suites through the command line: what is trained, what is not trained again, what stands in which table."""

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from powerbench.cli import main
from tests.driver.world import World
from tests.training import tiny

pytestmark = pytest.mark.slow

CONTRASTIVE = {"loss_funcs~OVERRIDE~": {"metric_loss": {"ContrastiveLoss": {"neg_margin~BAYESIAN~": [0, 1]}}}}
TRIPLET = {"loss_funcs~OVERRIDE~": {"metric_loss": {"TripletMarginLoss": {"margin~BAYESIAN~": [0, 1]}}}}
FAILING = {"loss_funcs~OVERRIDE~": {"metric_loss": {tiny.named("LossThatIsNan"): {"at~CHOICE_BAYESIAN~": [1, 2]}}}}
GIVEN = {
    "contrastive": {"overrides": CONTRASTIVE, "first_trials": [{"neg_margin": 0.5}]},
    "triplet": {"overrides": TRIPLET, "first_trials": [{"TripletMarginLoss/margin": 0.125}]},
}


GRID = {"loss_funcs~OVERRIDE~": {"metric_loss": {"ContrastiveLoss": {"neg_margin~GRID~": [0, 0.5]}}}}


def write(world, methods, trials=2, reproductions=2, **more):
    shared = {"config_general": ["default", str(world.folder / "tiny.yaml")]}
    content = {"title": "A suite", "trials": trials, "reproductions": reproductions, **shared, "methods": methods}
    return world.write("s", {**content, **more})


def run(world, path, *more):
    return main(
        [
            "suite",
            str(path),
            "--root_experiment_folder",
            str(world.root),
            "--cache_dir",
            str(world.folder / "cache"),
            *more,
        ]
    )


def table(world, name="s"):
    with open(world.root / "meta_logs" / name / "table.csv", newline="") as file:
        return {row["Method"]: row for row in csv.DictReader(file)}


@pytest.fixture(name="finished", scope="module")
def _finished(tmp_path_factory):
    """A finished suite of two methods with a given first trial each; tests copy it."""
    world = World(tmp_path_factory.mktemp("finished"))
    assert run(world, write(world, GIVEN)) == 0
    return world


@pytest.fixture(name="copy")
def _copy(finished, world):
    shutil.copytree(finished.root, world.root)
    return world


def test_given_first_trials_come_first_and_count_within_the_budget(finished):
    trials = [row for row in finished.rows("trials") if row[1] == "search"]
    parameters = {(name, number): json.loads(text) for name, _, number, text, *_ in trials}
    assert len(parameters) == 2 * 2
    assert parameters["s_contrastive", 0] == {"loss_funcs/metric_loss/ContrastiveLoss/neg_margin": 0.5}
    assert parameters["s_triplet", 0] == {"loss_funcs/metric_loss/TripletMarginLoss/margin": 0.125}
    assert parameters["s_triplet", 1] != parameters["s_triplet", 0]
    record = json.loads((finished.root / "s_triplet" / "record.json").read_text())["tables"]
    column = record["trials"]["columns"].index("proposal")
    strategies = [row[column]["strategy"] for row in record["trials"]["rows"] if row[column]]
    assert strategies == ["given", "ax"]
    protocol = record["experiments"]["rows"][0][record["experiments"]["columns"].index("protocol")]
    assert (protocol["trials"], protocol["first_trials"]) == (2, 1)


def test_the_table_has_every_method_with_its_counts(finished):
    rows = table(finished)
    assert list(rows) == ["(untrained trunk)", "contrastive", "triplet"]
    for method in GIVEN:
        assert (rows[method]["Trials"], rows[method]["Repr."], rows[method]["Fold runs"]) == ("2/2", "2/2", "8")
        assert rows[method]["MAP@R sep. n"] == "2"


def test_again_it_trains_nothing_and_prints_the_same_without_torch_or_ax(finished, copy):
    path = write(copy, GIVEN)
    code = (
        "import sys; from powerbench.cli import main; status = main(sys.argv[1:]);"
        "sys.exit(status or {'torch', 'ax', 'pandas', 'matplotlib'} & set(sys.modules) or 0)"
    )
    command = [sys.executable, "-c", code, "suite", str(path), "--root_experiment_folder", str(copy.root)]
    root = Path(__file__).parents[2]
    before = copy.everything()
    printed = [
        subprocess.run([*command, *more], check=True, cwd=root, capture_output=True, text=True).stdout
        for more in ([], ["--table"])
    ]
    assert copy.everything() == before
    assert printed[0] == printed[1]
    assert "contrastive" in printed[0]
    assert table(copy) == table(finished)


def test_an_added_method_is_the_only_one_trained_and_a_removed_one_only_leaves_the_table(copy):
    before = copy.everything()
    added = {
        "overrides": {"loss_funcs~OVERRIDE~": {"metric_loss": {"ContrastiveLoss": {"pos_margin~BAYESIAN~": [0, 1]}}}}
    }
    added["first_trials"] = [{"pos_margin": 0.1}]
    assert run(copy, write(copy, {**GIVEN, "added": added})) == 0
    after = copy.everything()
    for name, rows in after.items():
        assert [row for row in rows if row[0] != "s_added"] == before[name]
    assert len([row for row in after["runs"] if row[0] == "s_added"]) == 8
    assert list(table(copy)) == ["(untrained trunk)", *GIVEN, "added"]
    assert run(copy, write(copy, {"added": added})) == 0
    assert list(table(copy)) == ["(untrained trunk)", "added"]
    assert copy.everything() == after


def test_a_larger_budget_continues_every_method(copy):
    assert run(copy, write(copy, GIVEN, reproductions=3)) == 0
    assert {row["Repr."] for method, row in table(copy).items() if method in GIVEN} == {"3/3"}


def test_methods_with_unequal_numbers_of_first_trials_are_refused(world, capsys):
    more = {**GIVEN, "triplet": {"overrides": TRIPLET, "first_trials": [{"margin": 0.1}, {"margin": 0.2}]}}
    assert run(world, write(world, more)) == 2
    assert "differ in first_trials" in capsys.readouterr().err
    assert not world.root.exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"margn": 0.1}], "margin"),
        ([{"margin": 7}], "outside"),
        ([{"margin": 0.1}, {"margin": 0.2}, {"margin": 0.3}], "3 first trials"),
        ("margin", "first_trials"),
        ([0.1], "first_trials"),
    ],
)
def test_wrong_first_trials_are_refused_before_training(world, capsys, given, said):
    assert run(world, write(world, {"triplet": {"overrides": {**TRIPLET, "first_trials": given}}})) == 2
    message = capsys.readouterr().err
    assert "triplet" in message
    assert said in message
    assert not world.root.exists()


def test_first_trials_cannot_change_once_the_search_has_begun(copy, capsys):
    other = {**GIVEN, "triplet": {"overrides": TRIPLET, "first_trials": [{"margin": 0.25}]}}
    assert run(copy, write(copy, other)) == 2
    assert "first_trials" in capsys.readouterr().err
    assert run(copy, write(copy, other), "--merge_argparse_when_resuming") == 2
    assert "begun with other first trials" in capsys.readouterr().err


def test_first_trials_of_a_single_experiment_and_without_effect(world, capsys):
    assert world.run("t", "--first_trials", "[{neg_margin:", "0.25}]", trials=1) == 0
    assert json.loads(world.rows("trials")[0][3]) == {"loss_funcs/metric_loss/ContrastiveLoss/neg_margin": 0.25}
    assert world.run("fixed", "--first_trials", "[{neg_margin:", "0.25}]", reproductions=1) == 0
    assert "first_trials has no effect" in capsys.readouterr().err


def test_fixed_settings_are_compared_over_seeds_alone(world, capsys):
    fixed = {
        "a": {"overrides": {"loss_funcs~OVERRIDE~": {"metric_loss": {"ContrastiveLoss": {"neg_margin": 0.5}}}}},
        "b": {"overrides": {"loss_funcs~OVERRIDE~": {"metric_loss": {"TripletMarginLoss": {"margin": 0.1}}}}},
    }
    assert run(world, write(world, fixed, trials=0)) == 0
    assert {row[1] for row in world.rows("trials")} == {"reproduction"}
    rows = table(world)
    assert [(rows[m]["Trials"], rows[m]["Repr."], rows[m]["MAP@R sep. n"]) for m in fixed] == [("0/0", "2/2", "2")] * 2
    assert {rows[m]["Group"] for m in fixed} <= {"a", "b"}
    before = world.everything()
    capsys.readouterr()
    assert run(world, world.folder / "s.yaml") == 0
    assert world.everything() == before
    assert "Best parameters" not in capsys.readouterr().out


def test_a_method_that_fails_does_not_stop_the_others(world, capsys):
    failing = {"bad": {"overrides": FAILING}, "good": {"overrides": CONTRASTIVE}}
    assert run(world, write(world, failing, trials=1, reproductions=1)) == 1
    output = capsys.readouterr()
    assert "1 of 2 experiments failed: s_bad" in output.err
    rows = table(world)
    assert (rows["bad"]["Trials"], rows["bad"]["Repr."], rows["bad"]["MAP@R sep."]) == ("1/1", "0/1", "")
    assert rows["good"]["MAP@R sep. n"] == "1"


def test_each_protocol_has_its_own_table_and_experiments(world, capsys):
    protocols = {
        "short": {"overrides": {"num_epochs_train": 2}, "reproductions": 1},
        "long": {"title": "The long one", "overrides": {"num_epochs_train": 4}},
    }
    path = write(
        world, {"a": {}, "b": {"overrides": {"sampler": {"MPerClassSampler": {"m": 2}}}}}, 0, protocols=protocols
    )
    assert main(["validate", "suite", str(path)]) == 0
    planned = capsys.readouterr().out
    assert "s_short: 2 methods" in planned
    assert "all protocols: 12 fold runs" in planned
    assert run(world, path) == 0
    output = capsys.readouterr().out
    assert {row[0] for row in world.rows("trials")} == {f"s_{p}_{m}" for p in protocols for m in "ab"}
    assert [table(world, f"s_{name}")["a"]["Repr."] for name in protocols] == ["1/1", "2/2"]
    assert output.index("A suite: short") < output.index("The long one")
    shutil.rmtree(world.root / "meta_logs")
    assert run(world, path, "--table") == 0
    assert [table(world, f"s_{name}")["b"]["Repr."] for name in protocols] == ["1/1", "2/2"]


def test_a_partial_suite_shows_what_is_done_of_what_is_planned(world, capsys):
    assert run(world, write(world, GIVEN), "--table") == 2
    assert "no method of s has been started" in capsys.readouterr().err
    assert not world.root.exists()
    only = {"contrastive": GIVEN["contrastive"]}
    assert run(world, write(world, only, trials=1, reproductions=0)) == 0
    capsys.readouterr()
    assert run(world, write(world, GIVEN, trials=3), "--table") == 0
    rows = table(world)
    assert (rows["contrastive"]["Trials"], rows["contrastive"]["Repr."]) == ("1/3", "0/2")
    assert (rows["triplet"]["Trials"], rows["triplet"]["Repr."], rows["triplet"]["MAP@R sep."]) == ("0/3", "0/2", "")
    assert "Not started: triplet." in capsys.readouterr().out


def test_a_suite_stopped_at_any_method_is_continued(world, finished, monkeypatch):
    from powerbench.driver import suite_running
    from powerbench.errors import Stopped

    path, original = write(world, GIVEN), suite_running.run_experiment

    def stop_at_triplet(experiment, work):
        if experiment.name == "s_triplet":
            raise Stopped("stopped")
        original(experiment, work)

    monkeypatch.setattr(suite_running, "run_experiment", stop_at_triplet)
    assert run(world, path) == 3
    monkeypatch.undo()
    assert run(world, path) == 0
    assert world.everything() == finished.everything()


def test_what_was_not_written_before_a_kill_is_written_by_the_next_run(copy, finished):
    connection = sqlite3.connect(copy.root / "results.sqlite")
    connection.execute("delete from summaries")
    connection.commit()
    connection.close()
    (copy.root / "s_triplet" / "record.json").unlink()
    assert run(copy, write(copy, GIVEN)) == 0
    assert copy.everything() == finished.everything()
    assert (copy.root / "s_triplet" / "record.json").is_file()
    assert table(copy) == table(finished)


def test_folders_without_their_store_are_taken_up(copy, finished):
    (copy.root / "results.sqlite").unlink()
    assert run(copy, write(copy, GIVEN)) == 0
    assert copy.everything() == finished.everything()


def test_the_plan_tells_the_time_from_the_store(finished, capsys):
    path = finished.folder / "s.yaml"
    assert main(["validate", "suite", str(path)]) == 0
    assert "an unknown time" in capsys.readouterr().out
    assert main(["validate", "suite", str(path), "--root_experiment_folder", str(finished.root)]) == 0
    output = capsys.readouterr().out
    assert "2 search trials (the first 1 given) + 2 reproductions on 2 folds" in output
    assert "contrastive: 8 fold runs, at most 96 iterations, about" in output
    assert "searches neg_margin" in output


def test_a_complete_grid_stands_beside_a_search_of_the_same_budget(world):
    path = write(world, {"grid": {"overrides": GRID}, "triplet": {"overrides": TRIPLET}}, trials=3, reproductions=1)
    assert run(world, path) == 0
    assert (table(world)["grid"]["Trials"], table(world)["triplet"]["Trials"]) == ("2/2", "3/3")
