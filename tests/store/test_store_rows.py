"""What is written comes back as it was; what is written again replaces or changes nothing."""

import math
import sqlite3

import pytest
from store_results import evaluation, failed_result, make_experiment, train_result, trained

from powerbench.errors import PowerbenchError, UserError
from powerbench.jobs import ConcatenatedValue, EvaluateResult, Failure, LossValue, Measurement, SeparateValue
from powerbench.store.rows import best_trial

HARD_FLOATS = [0.1 + 0.2, 1e-300, 5e-324, 1.7976931348623157e308, -1 / 3, 2**53 + 2.0]


def rows_of(store, table):
    with sqlite3.connect(store._database.path) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]


def test_an_experiment_comes_back_as_it_was(store, experiment, tmp_path):
    assert store.experiment("first") == experiment == store.experiments()[0]
    assert experiment.seed == 2**63 - 1
    assert experiment.config == {"seed": 0, "loss": {"margin~BAYESIAN~": [0.1, 1e-300]}}
    assert list(experiment.config) == ["seed", "loss"]
    assert experiment.folder == str(tmp_path / "root" / "first")
    assert store.experiment("absent") is None


def test_a_name_is_taken_once(store, experiment):
    with pytest.raises(UserError, match="named 'first' already"):
        store.create_experiment("first", {}, "", {}, "", 0, {}, "x")


def test_a_seed_too_large_for_the_store_is_refused(store):
    with pytest.raises(UserError, match="at most"):
        store.create_experiment("huge", {}, "", {}, "", 2**63, {}, "x")


def test_update_changes_only_what_is_given(store, experiment):
    changed = store.update_experiment("first", budget={"trials": 9}, fingerprint="f1")
    assert (changed.budget, changed.protocol_fingerprint) == ({"trials": 9}, "f1")
    assert (changed.config, changed.protocol, changed.created) == (
        experiment.config,
        experiment.protocol,
        experiment.created,
    )
    assert store.update_experiment("first") == changed
    with pytest.raises(PowerbenchError, match="no experiment named 'absent'"):
        store.update_experiment("absent", budget={})


@pytest.mark.parametrize("value", HARD_FLOATS)
def test_floats_keep_every_bit(store, experiment, value):
    trial = store.add_trial(experiment.id, "search", 0, {"loss/margin": value}, {"bounds": [value, 1]})
    store.add_run(trial.id, 0, 1, "search_0/fold")
    store.finish_run(trial.id, 0, train_result(0, values=(value,)))
    done = store.finish_trial(trial.id, value, value)
    run = store.runs(trial.id)[0]
    assert done.parameters == {"loss/margin": value}
    assert done.proposal == {"bounds": [value, 1]}
    read = [done.mean, done.sem, run.best_value, store.measurements(run.id)[0].value]
    assert [number.hex() for number in read] == [float(value).hex()] * 4


def test_parameters_keep_their_types(store, experiment):
    parameters = {"a": 1, "b": 1.0, "c": "x", "d": True, "e": -0.0}
    read = store.add_trial(experiment.id, "search", 0, parameters).parameters
    assert read == parameters
    assert [type(value) for value in read.values()] == [int, float, str, bool, float]
    assert math.copysign(1, read["e"]) == -1


def test_nan_is_null_and_infinity_stays(store, experiment):
    trial = store.add_trial(experiment.id, "search", 0, {})
    store.add_run(trial.id, 0, 1, "a")
    store.finish_run(trial.id, 0, train_result(0, values=(math.nan, math.inf)))
    run = store.runs(trial.id)[0]
    values = [row.value for row in store.measurements(run.id)]
    assert math.isnan(values[0])
    assert values[1] == math.inf
    assert [row["value"] for row in rows_of(store, "measurements")] == [None, math.inf]
    assert store.finish_trial(trial.id, math.nan, None).mean is None


def test_a_known_trial_is_returned_and_a_changed_one_refused(store, experiment):
    first = store.add_trial(experiment.id, "search", 3, {"x": 0.5}, {"strategy": "sobol"})
    assert first.state == "running"
    assert first.started
    assert store.add_trial(experiment.id, "search", 3, {"x": 0.5}, {"strategy": "other"}) == first
    assert store.add_trial(experiment.id, "reproduction", 3, {"x": 0.1}).id != first.id
    with pytest.raises(PowerbenchError, match="other parameters"):
        store.add_trial(experiment.id, "search", 3, {"x": 0.5000000000000001})


def test_trials_come_by_number_and_kind(store, experiment):
    for number in (2, 0, 1):
        store.add_trial(experiment.id, "search", number, {})
    store.add_trial(experiment.id, "reproduction", 0, {})
    assert [trial.number for trial in store.trials(experiment.id, "search")] == [0, 1, 2]
    assert len(store.trials(experiment.id)) == 4
    assert store.trials(experiment.id + 1) == []


def test_finishing_and_failing_twice_changes_nothing(store, experiment):
    trial = store.add_trial(experiment.id, "search", 0, {})
    done = store.finish_trial(trial.id, 0.5, None)
    assert (done.state, done.mean, done.sem) == ("done", 0.5, None)
    assert store.finish_trial(trial.id, 0.5, None) == done == store.trial(trial.id)
    failed = store.fail_trial(trial.id, "nan", "the loss is NaN")
    assert (failed.state, failed.error_kind, failed.error, failed.mean) == ("failed", "nan", "the loss is NaN", None)
    assert store.fail_trial(trial.id, "nan", "the loss is NaN") == failed
    again = store.finish_trial(trial.id, 0.6, 0.1)
    assert (again.state, again.error_kind, again.error) == ("done", None, None)


def test_a_run_is_added_once_with_a_folder_inside_its_experiments(store, experiment, tmp_path):
    trial = store.add_trial(experiment.id, "single", 0, {})
    run = store.add_run(trial.id, 0, 5, tmp_path / "root" / "first" / "single" / "fold_0")
    assert run.folder == "single/fold_0"
    assert store.add_run(trial.id, 0, 5, "single/fold_0") == run
    with pytest.raises(PowerbenchError, match="with seed 5, not 6"):
        store.add_run(trial.id, 0, 6, "single/fold_0")
    with pytest.raises(ValueError, match="not in the subpath"):
        store.add_run(trial.id, 1, 6, "/elsewhere/fold_1")
    with pytest.raises(ValueError, match="leads out"):
        store.add_run(trial.id, 1, 6, "../other/fold_1")


def test_a_finished_run_has_all_the_result_held(store, experiment):
    trial = trained(store, experiment, "search", 0, 0.5)
    run = store.runs(trial.id)[1]
    expected = train_result(1)
    for name in ("fold_name", "split_checksum", "best_epoch", "best_value", "epochs", "iterations", "seconds"):
        assert getattr(run, name) == getattr(expected, name)
    assert (run.fold, run.state, run.model_seconds, run.error) == (1, "done", 1.25, None)
    read = [Measurement(r.split, r.epoch, r.weights, r.metric, r.value) for r in store.measurements(run.id)]
    assert tuple(read) == expected.measurements
    assert tuple(LossValue(r.epoch, r.name, r.value) for r in store.losses(run.id)) == expected.losses
    environments = store.environments(experiment.id)
    assert [row.content for row in environments] == [{"torch": "2.14.1"}]
    assert run.environment_id == environments[0].id


def test_environments_are_shared_whatever_the_order_of_their_keys(store, experiment):
    trial = store.add_trial(experiment.id, "search", 0, {})
    for fold, environment in enumerate([{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}, {}]):
        store.add_run(trial.id, fold, 1, str(fold))
        store.finish_run(trial.id, fold, train_result(fold, environment=environment))
    ids = [run.environment_id for run in store.runs(trial.id)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[3] is None
    assert len(store.environments(experiment.id)) == 2


def test_a_second_attempt_replaces_the_first_and_its_evaluations(store, experiment):
    trial = trained(store, experiment, "search", 0, 0.5)
    store.record_evaluation(trial.id, evaluation([0.1, 0.2]))
    store.finish_run(trial.id, 1, failed_result(1))
    run = store.runs(trial.id)[1]
    assert (run.state, run.error_kind, run.error) == ("failed", "nan", "the loss is NaN in epoch 1")
    assert [row.split for row in store.measurements(run.id)] == ["val"]
    assert len(store.losses(run.id)) == 1
    assert store.evaluations(trial.id) == []
    assert len(store.measurements(store.runs(trial.id)[0].id)) == 3, "the other fold keeps its rows"


def test_results_need_their_run(store, experiment):
    trial = store.add_trial(experiment.id, "search", 0, {})
    with pytest.raises(PowerbenchError, match="no run of fold 0"):
        store.finish_run(trial.id, 0, train_result())
    with pytest.raises(PowerbenchError, match="no trial with id 999"):
        store.finish_trial(999, 1.0, None)


def test_reopening_a_run_forgets_its_result(store, experiment):
    trial = trained(store, experiment, "search", 0, 0.5)
    store.reopen_run(trial.id, 1)
    runs = store.runs(trial.id)
    assert [run.state for run in runs] == ["done", "running"]
    assert store.measurements(runs[1].id) == store.losses(runs[1].id) == []
    reopened = store.trial(trial.id)
    assert (reopened.state, reopened.mean, reopened.finished) == ("running", None, None)


def test_an_evaluation_gives_measurements_means_and_standard_errors(store, experiment):
    trial = trained(store, experiment, "search", 0, 0.5)
    store.record_evaluation(trial.id, evaluation([0.1, 0.4], concatenated=0.7))
    separate, concatenated = store.evaluations(trial.id)
    assert (separate.mode, separate.split, separate.weights, separate.metric) == (
        "separate",
        "test",
        "trained",
        "map_at_r",
    )
    assert separate.value == pytest.approx(0.25, abs=1e-15)
    assert separate.sem == pytest.approx(0.15, abs=1e-15)  # sd = 0.3 / sqrt 2, over sqrt 2
    assert (concatenated.mode, concatenated.value, concatenated.sem) == ("concatenated", 0.7, None)
    tests = [row for run in store.runs(trial.id) for row in store.measurements(run.id) if row.split == "test"]
    assert [(row.epoch, row.value) for row in tests] == [(1, 0.1), (1, 0.4)]


def test_the_same_evaluation_again_replaces_and_another_adds(store, experiment):
    trial = trained(store, experiment, "search", 0, 0.5)
    store.record_evaluation(trial.id, evaluation([0.1, 0.4]))
    store.record_evaluation(trial.id, evaluation([0.2, 0.2], concatenated=0.9))
    store.record_evaluation(trial.id, evaluation([0.6, 0.6], metric="precision_at_1"))
    values = {(row.mode, row.metric): row.value for row in store.evaluations(trial.id)}
    assert values["separate", "map_at_r"] == 0.2
    assert values["concatenated", "map_at_r"] == 0.9
    assert values["separate", "precision_at_1"] == 0.6
    assert len(store.evaluations(trial.id)) == 4
    assert sum(row["split"] == "test" for row in rows_of(store, "measurements")) == 4


def test_one_fold_has_no_standard_error(store, experiment):
    trial = trained(store, experiment, "single", 0, 0.5, folds=1)
    store.record_evaluation(trial.id, evaluation([0.1]))
    assert store.evaluations(trial.id)[0].sem is None


def test_an_evaluation_of_some_folds_is_refused_whole(store, experiment):
    trial = trained(store, experiment, "search", 0, 0.5)
    with pytest.raises(PowerbenchError, match="covers the folds"):
        store.record_evaluation(trial.id, evaluation([0.1]))
    twice = evaluation([0.1, 0.2])
    twice = EvaluateResult(separate=(*twice.separate, SeparateValue(0, "test", 2, "trained", "map_at_r", 0.3)))
    with pytest.raises(PowerbenchError, match="two values"):
        store.record_evaluation(trial.id, twice)
    with pytest.raises(PowerbenchError, match="out of memory"):
        store.record_evaluation(trial.id, EvaluateResult(failure=Failure("out_of_memory", "out of memory")))
    assert store.evaluations(trial.id) == []
    assert not [row for row in rows_of(store, "measurements") if row["split"] == "test"]


def test_an_evaluation_may_be_of_joined_embeddings_alone(store, experiment):
    trial = trained(store, experiment, "search", 0, 0.5)
    value = ConcatenatedValue("test", "trained", "map_at_r", 0.3)
    store.record_evaluation(trial.id, EvaluateResult(concatenated=(value,)))
    assert [row.mode for row in store.evaluations(trial.id)] == ["concatenated"]


def test_the_best_trial_is_the_earliest_of_the_highest(store, experiment):
    means = {0: 0.3, 1: math.nan, 2: 0.7, 3: 0.7, 5: 0.1}
    for number, mean in means.items():
        store.finish_trial(store.add_trial(experiment.id, "search", number, {}).id, mean, None)
    store.fail_trial(store.add_trial(experiment.id, "search", 4, {}).id, "nan", "")
    store.add_trial(experiment.id, "search", 6, {})
    store.finish_trial(store.add_trial(experiment.id, "reproduction", 0, {}).id, 0.99, None)
    trials = store.trials(experiment.id)
    assert best_trial(trials).number == best_trial(reversed(trials)).number == 2
    assert best_trial([]) is None


def test_deleting_an_experiment_takes_all_its_rows_and_no_others(store, experiment, tmp_path):
    other = make_experiment(store, tmp_path, "other")
    for owner, environment in ((experiment, {"only": "here"}), (other, {"torch": "2.14.1"})):
        trial = trained(store, owner, "search", 0, 0.5)
        store.record_evaluation(trial.id, evaluation([0.1, 0.2], environment=environment))
        store.refresh_summaries(owner.id)
    tables = ("experiments", "trials", "runs", "measurements", "losses", "evaluations", "summaries", "environments")
    before = {table: len(rows_of(store, table)) for table in tables}
    counts = store.delete_experiment("first")
    after = {table: len(rows_of(store, table)) for table in tables}
    expected = {"experiments": 1, "trials": 1, "runs": 2, "measurements": 6, "losses": 4, "evaluations": 2}
    expected |= {"summaries": 2, "environments": 1, "leases": 1}
    assert counts == expected
    assert {table: before[table] - after[table] for table in tables} == {t: expected[t] for t in tables}
    assert store.experiment("first") is None
    assert len(store.evaluations(store.trials(other.id)[0].id)) == 2
    with pytest.raises(PowerbenchError, match="no experiment named"):
        store.delete_experiment("first")


def test_deleting_a_trial_takes_its_rows(store, experiment):
    trial = trained(store, experiment, "reproduction", 0, 0.5)
    store.delete_trial(trial.id)
    assert all(not rows_of(store, table) for table in ("trials", "runs", "measurements", "losses"))


def test_ids_are_never_used_again(store, experiment, tmp_path):
    store.delete_experiment("first")
    assert make_experiment(store, tmp_path).id > experiment.id
