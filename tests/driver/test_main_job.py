"""The main job, whole: searched, cross-validated, reproduced, evaluated, reported, through the command line."""

import csv
import json
import math
import sqlite3

import numpy as np
import pytest
import scipy.stats
import yaml

from powerbench.store.record import store_of_record
from powerbench.store.store import Store
from tests.training import tiny

pytestmark = pytest.mark.slow


@pytest.fixture(name="searched", scope="module")
def _searched(tmp_path_factory):
    """A finished search that tests only look at."""
    from tests.driver.world import World

    world = World(tmp_path_factory.mktemp("searched"))
    assert world.run("t", trials=4, reproductions=3) == 0
    return world


def test_every_fold_of_every_trial_is_recorded_once(searched):
    runs = searched.rows("runs")
    assert len(runs) == (4 + 3) * 2
    assert all(run[5] == "done" for run in runs)
    seeds = {run[4] for run in runs}
    assert len(seeds) == len(runs)


def test_a_trial_is_the_mean_over_folds_of_the_best_validation_values(searched):
    runs = searched.rows("runs")
    for name, kind, number, _, state, _, mean, sem in searched.rows("trials"):
        assert state == "done"
        values = [run[8] for run in runs if run[:3] == (name, kind, number)]
        assert mean == pytest.approx(np.mean(values), abs=1e-15)
        assert sem == pytest.approx(scipy.stats.sem(values), abs=1e-15)


def test_reproductions_retrain_the_best_setting_with_other_seeds(searched):
    trials = searched.rows("trials")
    best = max((t for t in trials if t[1] == "search"), key=lambda trial: trial[6])
    reproductions = [t for t in trials if t[1] == "reproduction"]
    assert {t[3] for t in reproductions} == {best[3]}
    assert len({t[6] for t in reproductions} | {best[6]}) > 1


def test_intervals_are_students_t_over_the_reproductions_alone(searched):
    evaluations = searched.rows("evaluations")
    for _, split, mode, weights, metric, n, mean, sem, low, high, confidence in searched.rows("summaries"):
        values = [e[7] for e in evaluations if e[1] == "reproduction" and e[3:7] == (split, mode, weights, metric)]
        assert n == len(values) == 3
        assert mean == pytest.approx(np.mean(values))
        if sem:
            expected = scipy.stats.t.interval(confidence, n - 1, loc=np.mean(values), scale=scipy.stats.sem(values))
            assert (low, high) == pytest.approx(expected)


def test_test_is_read_for_the_chosen_trial_and_the_reproductions_only(searched):
    trials = searched.rows("trials")
    best = max((t for t in trials if t[1] == "search"), key=lambda trial: trial[6])
    evaluated = {e[1:3] for e in searched.rows("evaluations")}
    assert evaluated == {("search", best[2]), *(("reproduction", number) for number in range(3))}
    on_test = {m[1:3] for m in searched.rows("measurements") if m[4] == "test"}
    assert on_test == evaluated


def test_both_modes_and_all_weights_are_there(searched):
    found = {e[4:6] for e in searched.rows("evaluations")}
    weights = ("untrained_trunk", "untrained_trunk_and_embedder", "trained")
    assert found == {(mode, state) for mode in ("separate", "concatenated") for state in weights}


def test_only_weights_that_count_are_kept(searched):
    best = max((t for t in searched.rows("trials") if t[1] == "search"), key=lambda trial: trial[6])[2]
    kept = {path.parent.parent.name for path in (searched.root / "t").rglob("embedder_best.pth")}
    assert kept == {f"search_{best}", "reproduction_0", "reproduction_1", "reproduction_2"}
    assert not list(searched.root.rglob("checkpoint.pth"))
    assert not list(searched.root.rglob("*.tmp"))


def test_the_folder_holds_config_best_parameters_record_and_report(searched):
    folder = searched.root / "t"
    names = {path.name for path in folder.iterdir()}
    assert {"configs", "best_parameters.yaml", "record.json", "meta_logs"} <= names
    reported = {path.name for path in (folder / "meta_logs").iterdir()}
    assert {"results.csv", "results.md", "results.tex", "trials.csv", "report.html"} <= reported
    with open(folder / "meta_logs" / "results.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 1 + len(searched.rows("summaries"))


def test_again_it_trains_nothing(searched, monkeypatch):
    before = searched.everything()

    def refuse(*arguments, **named):
        raise AssertionError("trained again")

    monkeypatch.setattr("powerbench.training.train_fold", refuse)
    monkeypatch.setattr("powerbench.evaluation.ensembles.evaluate_models", refuse)
    assert searched.run("t", trials=4, reproductions=3) == 0
    assert searched.resume("t") == 0
    assert searched.everything() == before


def test_other_settings_are_refused_and_change_nothing(searched, capsys):
    before = searched.everything()
    assert searched.run("t", "--save_interval", "1", trials=4, reproductions=3) == 2
    assert "save_interval" in capsys.readouterr().err
    assert searched.everything() == before


def test_best_parameters_are_a_config(searched, world):
    best = yaml.safe_load((searched.root / "t" / "best_parameters.yaml").read_text())
    value = best["loss_funcs~OVERRIDE~"]["metric_loss"]["ContrastiveLoss"]["neg_margin"]
    path = searched.root / "t" / "best_parameters.yaml"
    assert world.run("again", "--config_loss_and_miners", f"[default, {path}]") == 0
    with Store.open(world.root / "results.sqlite") as store:
        config = store.experiment("again").config
    assert config["config_loss_and_miners"]["loss_funcs"] == {"metric_loss": {"ContrastiveLoss": {"neg_margin": value}}}


def test_worker_processes_give_the_same_numbers(searched, world):
    assert world.run("t", "--workers", "2", trials=4, reproductions=3) == 0
    assert world.everything() == searched.everything()


def test_a_search_that_is_extended_equals_one_that_was_longer_from_the_start(searched, world):
    assert world.run("t", trials=2) == 0
    assert world.run("t", trials=4, reproductions=1) == 0
    assert world.resume("t", "--reproductions", "1,3") == 0
    for table in ("trials", "runs", "summaries"):
        assert world.rows(table) == searched.rows(table)


def test_evaluation_on_other_splits_adds_to_what_is_there(searched, world, capsys):
    assert world.run("t", trials=1, reproductions=1) == 0
    before = world.rows("evaluations")
    assert world.resume("t", "--evaluate", "--splits_to_eval", "[train,", "val]") == 0
    added = [row for row in world.rows("evaluations") if row not in before]
    assert {row[3:5] for row in added} == {("train", "separate"), ("val", "separate")}
    assert world.resume("t", "--evaluate_ensemble", "--splits_to_eval", "[test]") == 0
    assert world.resume("t", "--evaluate", "--splits_to_eval", "[test]") == 0
    assert [row for row in world.rows("evaluations") if row not in added] == before
    capsys.readouterr()
    assert world.resume("t", "--evaluate_ensemble", "--splits_to_eval", "[val]") == 2
    assert "test" in capsys.readouterr().err


def test_the_test_split_waits_for_the_end_of_the_search(world, capsys):
    assert world.run("t", trials=1) == 0
    assert world.run("t", "--evaluate", "--splits_to_eval", "[test]", trials=3) == 2
    assert "1 of 3 trials" in capsys.readouterr().err


def test_reproductions_of_a_setting_that_was_overtaken_make_room_and_stay_on_record(world, capsys):
    how = ("--search_strategy", "sobol", "--seed", "4")  # its second trial is better than its first
    assert world.run("t", *how, trials=1, reproductions=1) == 0
    old = [row for row in world.rows("evaluations") if row[1] == "reproduction"]
    assert world.run("t", *how, trials=2, reproductions=1) == 0
    assert (world.root / "t" / "record_overtaken_0.json").exists()
    assert "trained anew" in capsys.readouterr().out
    new = [row for row in world.rows("evaluations") if row[1] == "reproduction"]
    assert len(new) == len(old)
    assert {row[3] for row in world.rows("trials") if row[1] == "reproduction"} == {world.best("t")[3]}
    with store_of_record(world.root / "t" / "record_overtaken_0.json") as (store, name):
        trial = store.trials(store.experiment(name).id, "reproduction")[0]
        assert json.dumps(trial.parameters) != world.best("t")[3]
        assert {row.value for row in store.evaluations(trial.id)} == {row[7] for row in old}


def test_a_single_training_reports_validation_and_is_tested_only_when_asked(world):
    assert world.run("single") == 0
    assert [row[1:3] for row in world.rows("trials")] == [("single", 0)]
    assert not world.rows("evaluations")
    assert world.run("single", "--evaluate", "--evaluate_ensemble", "--splits_to_eval", "[test]") == 0
    assert {row[1] for row in world.rows("evaluations")} == {"single"}


def test_fixed_settings_are_reproduced_without_a_search(world):
    assert world.run("fixed", reproductions=2) == 0
    assert [row[1:4] for row in world.rows("trials")] == [("reproduction", 0, "{}"), ("reproduction", 1, "{}")]
    assert {row[5] for row in world.rows("summaries")} == {2}


def test_a_failing_trial_is_told_as_failed_and_the_search_goes_on(world, capsys):
    loss = f"{{metric_loss: {{'{tiny.named('LossThatIsNan')}': {{at~CHOICE_BAYESIAN~: [3, 1000000]}}}}}}"
    assert world.run("t", "--loss_funcs~OVERRIDE~", loss, trials=4, search=False) == 0
    trials = world.rows("trials")
    failed = [t for t in trials if t[4] == "failed"]
    assert failed
    assert len(failed) < len(trials) == 4
    assert all(t[5] == "nan" and t[6] is None for t in failed)
    assert "nan" in capsys.readouterr().out


def test_if_every_trial_fails_the_work_failed(world, capsys):
    loss = f"{{metric_loss: {{'{tiny.named('LossThatIsNan')}': {{at~CHOICE_BAYESIAN~: [2, 3]}}}}}}"
    assert world.run("t", "--loss_funcs~OVERRIDE~", loss, trials=2, reproductions=1, search=False) == 1
    assert "every" in capsys.readouterr().err


def test_users_code_is_kept_with_the_experiment(world, tmp_path):
    source = tmp_path / "my_loss.py"
    source.write_text(
        "import torch\n\nclass MyLoss(torch.nn.Module):\n    def __init__(self, scale=1.0):\n        super().__init__()\n"
        "        self.scale = scale\n\n    def forward(self, embeddings, labels, indices_tuple=None):\n"
        "        return self.scale * embeddings.pow(2).mean()\n"
    )
    loss = "{metric_loss: {my_loss.py:MyLoss: {scale~BAYESIAN~: [0.5, 2]}}}"
    assert world.run("mine", "--loss_funcs~OVERRIDE~", loss, "--workers", "2", trials=1, search=False) == 0
    copies = list((world.root / "mine" / "configs" / "user_code").glob("my_loss_*.py"))
    assert [path.read_text() for path in copies] == [source.read_text()]
    parameters = world.rows("trials")[0][3]
    assert f"loss_funcs/metric_loss/{copies[0].name}:MyLoss/scale" in parameters
    source.unlink()
    assert world.resume("mine", "--bayes_opt_iters", "2") == 0
    assert len(world.rows("trials")) == 2
    best = world.root / "mine" / "best_parameters.yaml"
    assert world.run("theirs", "--config_loss_and_miners", f"[default, {best}]") == 0


def test_changed_code_is_a_changed_setting(world, tmp_path, capsys):
    source = tmp_path / "my_loss.py"
    text = "import torch\n\nclass MyLoss(torch.nn.Module):\n    def forward(self, embeddings, labels, indices_tuple=None):\n        return embeddings.pow(2).mean()\n"
    source.write_text(text)
    command = ["--loss_funcs~OVERRIDE~", "{metric_loss: {my_loss.py:MyLoss: {}}}"]
    assert world.run("mine", *command) == 0
    source.write_text(text.replace("pow(2)", "abs()"))
    assert world.run("mine", *command) == 2
    assert "loss_funcs" in capsys.readouterr().err


def test_bounds_can_be_widened_on_resume(world):
    assert world.run("t", trials=2) == 0
    wider = "{metric_loss: {ContrastiveLoss: {neg_margin~BAYESIAN~: [0, 2]}}}"
    assert world.run("t", "--loss_funcs~OVERRIDE~", wider, trials=3, search=False) == 2
    assert (
        world.run("t", "--loss_funcs~OVERRIDE~", wider, "--merge_argparse_when_resuming", trials=3, search=False) == 0
    )
    assert len(world.rows("trials")) == 3
    assert len(list((world.root / "t" / "configs").glob("before_change_0/*.yaml"))) > 0


def test_results_from_before_and_after_a_change_of_the_protocol_are_marked(world, capsys):
    assert world.run("t", trials=1) == 0
    assert world.run("t", "--save_interval", "1", "--merge_argparse_when_resuming", trials=2) == 0
    assert "settings changed between trials (save_interval)" in capsys.readouterr().out
    assert world.run("t", "--save_interval", "1", trials=2) == 0
    with Store.open(world.root / "results.sqlite") as store:
        assert store.experiment("t").protocol["changed_midway"] == ["save_interval"]


def test_a_method_that_changed_midway_is_marked_too_but_widened_bounds_are_not(world, capsys):
    assert world.run("t", trials=1) == 0
    wider = "{metric_loss: {ContrastiveLoss: {neg_margin~BAYESIAN~: [0, 2]}}}"
    again = ["--loss_funcs~OVERRIDE~", wider, "--merge_argparse_when_resuming"]
    assert world.run("t", *again, trials=2, search=False) == 0
    assert "changed between trials" not in capsys.readouterr().out
    assert world.run("t", *again, "--sampler~APPLY~2", "{m: 8}", trials=3, search=False) == 0
    assert "settings changed between trials (sampler/MPerClassSampler/m)" in capsys.readouterr().out


def test_a_search_keeps_its_parameters(world, capsys):
    assert world.run("t", trials=1) == 0
    other = "{metric_loss: {ContrastiveLoss: {pos_margin~BAYESIAN~: [0, 1]}}}"
    merge = ["--loss_funcs~OVERRIDE~", other, "--merge_argparse_when_resuming"]
    before = world.everything()
    assert world.run("t", *merge, trials=2, search=False) == 2
    assert "trials over loss_funcs/metric_loss/ContrastiveLoss/neg_margin" in capsys.readouterr().err
    assert world.everything() == before


def test_values_that_a_class_refuses_fail_their_trial_only(world, capsys):
    source = world.folder / "picky.py"
    source.write_text(
        "from pytorch_metric_learning.losses import ContrastiveLoss\n\nclass Picky(ContrastiveLoss):\n"
        "    def __init__(self, margin):\n        assert margin < 0.5, 'too wide'\n"
        "        super().__init__(neg_margin=margin)\n"
    )
    loss = f"{{metric_loss: {{{source}:Picky: {{margin~BAYESIAN~: [0, 1]}}}}}}"
    assert world.run("t", "--loss_funcs~OVERRIDE~", loss, trials=4, search=False) == 0
    states = {row[4] for row in world.rows("trials")}
    assert states == {"done", "failed"}
    assert "too wide" in capsys.readouterr().out


@pytest.mark.parametrize("strategy", ["sobol", "random"])
def test_other_strategies(world, strategy):
    assert world.run("t", "--search_strategy", strategy, trials=2) == 0
    assert len({t[3] for t in world.rows("trials")}) == 2


def test_a_grid_is_tried_completely_and_no_further(world):
    grid = "{metric_loss: {ContrastiveLoss: {neg_margin~GRID~: [0.2, 0.5], pos_margin~GRID~: [0, 0.1]}}}"
    assert world.run("t", "--search_strategy", "grid", "--loss_funcs~OVERRIDE~", grid, trials=10, search=False) == 0
    assert len({t[3] for t in world.rows("trials")}) == len(world.rows("trials")) == 4


def test_lists_marked_grid_are_tried_completely_by_every_strategy(world):
    grid = "{metric_loss: {ContrastiveLoss: {neg_margin~GRID~: [0, 0.2, 0.5, 0.7, 0.8, 1.0]}}}"
    assert world.run("t", "--loss_funcs~OVERRIDE~", grid, trials=4, search=False) == 0
    assert world.resume("t", "--bayes_opt_iters", "9") == 0
    assert len({t[3] for t in world.rows("trials")}) == len(world.rows("trials")) == 6


def test_parallel_trials_do_not_depend_on_the_workers(world, tmp_path):
    assert world.run("t", "--parallel_trials", "3", "--workers", "2", trials=7) == 0
    together = world.everything()
    world.forget()
    assert world.run("t", "--parallel_trials", "3", trials=7) == 0
    assert world.everything() == together


def test_weights_are_dropped_if_none_are_wanted(world):
    assert world.run("t", "--keep_weights", "none", trials=2, reproductions=1) == 0
    assert not list(world.root.rglob("*.pth"))
    assert world.rows("summaries")
    assert world.run("t", trials=2, reproductions=1) == 0


def test_the_store_holds_the_environment_of_every_run(searched):
    connection = sqlite3.connect(searched.root / "results.sqlite")
    missing = connection.execute("select count(*) from runs where environment_id is null").fetchone()[0]
    content = connection.execute("select content from environments").fetchone()[0]
    connection.close()
    assert missing == 0
    assert "torch" in content


def test_numbers_are_kept_in_full_precision(searched):
    values = [row[8] for row in searched.rows("measurements")]
    assert any(not math.isclose(value, round(value, 12), abs_tol=0, rel_tol=1e-14) for value in values)


def test_weights_of_a_beaten_trial_that_a_killed_session_left_are_dropped(world):
    assert world.run("t", trials=2) == 0
    beaten = next(row[2] for row in world.rows("trials") if row[2] != world.best("t")[2])
    left = world.root / "t" / f"search_{beaten}" / "fold" / "embedder_best.pth"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")
    assert world.run("t", trials=2, reproductions=1) == 0
    assert not left.exists()
