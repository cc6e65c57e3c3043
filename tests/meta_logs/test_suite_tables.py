"""Methods side by side: fair or not at all, with intervals, groups and counts."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from synthetic_experiments import PROTOCOL, make_experiment

from meta_logs.comparison import tables_of
from meta_logs.results import results_of
from meta_logs.suite import comparison_table, groups_of, print_suite, suite_table, write_suite
from powerbench.errors import UserError
from powerbench.plan import Budget
from powerbench.store.record import store_of_record
from powerbench.store.store import Store

METHODS = {"contrastive": 0.0, "triplet": -0.001, "proxy_nca": -0.08}


def fill(store, methods=METHODS, **options):
    options = {"trials": 4, "folds": 2, **options}
    for seed, (name, level) in enumerate(methods.items()):
        make_experiment(store, f"demo_{name}", level=level, seed=seed, **options)
    return {name: f"demo_{name}" for name in methods}


@pytest.fixture(scope="module")
def three():
    """Three methods, only to be read: their store and names."""
    with Store.in_memory() as store:
        yield store, fill(store)


def read(store, names):
    return {method: results_of(store, name) for method, name in names.items()}


def rows_of(table):
    return {row["Method"]: row for row in csv.DictReader(io.StringIO(table.csv))}


def test_a_row_has_mean_interval_and_n_of_the_reproductions(three):
    store, names = three
    row = rows_of(suite_table(read(store, names), title="t"))["triplet"]
    experiment = store.experiment("demo_triplet")
    values = [
        evaluation.value
        for trial in store.trials(experiment.id, "reproduction")
        for evaluation in store.evaluations(trial.id)
        if (evaluation.mode, evaluation.weights, evaluation.metric) == ("concatenated", "trained", "precision_at_1")
    ]
    low, high = scipy.stats.t.interval(0.95, 4, loc=np.mean(values), scale=scipy.stats.sem(values))
    assert float(row["R@1 con."]) == pytest.approx(np.mean(values), rel=1e-14)
    assert float(row["R@1 con. half width"]) == pytest.approx((high - low) / 2, rel=1e-9)
    assert row["R@1 con. n"] == "5"
    assert (row["Trials"], row["Repr."], row["Fold runs"]) == ("4/4", "5/5", str((3 + 5) * 2))
    assert float(row["Hours"]) == pytest.approx((3 + 5) * 2 * 90 / 3600)
    assert row["Best parameters"].startswith("alpha ")


def test_the_untrained_trunk_is_shown_once_and_unjudged(three):
    store, names = three
    table = suite_table(read(store, names), title="t")
    assert [row[0] for row in table.rows] == ["(untrained trunk)", *METHODS]
    baseline = rows_of(table)["(untrained trunk)"]
    assert float(baseline["MAP@R sep. half width"]) == pytest.approx(0.0, abs=1e-15)
    assert baseline["Group"] == ""


def test_letters_tell_which_differences_hold(three):
    store, names = three
    letters = groups_of(read(store, names))
    assert letters["contrastive"] == letters["triplet"] == "a"
    assert letters["proxy_nca"] == "b"


def test_pairs_have_verdicts_in_words(three):
    store, names = three
    table = comparison_table(read(store, names))
    verdicts = {(row[0], row[1]): row[-1] for row in table.rows}
    assert verdicts["contrastive", "triplet"] == "cannot be told apart"
    assert verdicts["contrastive", "proxy_nca"] == "contrastive is better"
    assert table.rows[0][2].n == 5


def test_the_better_method_is_named_whichever_stands_first(store):
    names = fill(store, {"weak": -0.1, "strong": 0.0})
    assert comparison_table(read(store, names)).rows[0][-1] == "strong is better"


def test_different_protocols_are_refused_and_the_keys_named(three):
    store, names = three
    make_experiment(
        store,
        "other",
        trials=0,
        folds=1,
        protocol={**PROTOCOL, "trunk_weights": "random", "trials": 7},
        fingerprint="x",
    )
    results = read(store, {**names, "other": "other"})
    for table in (lambda: suite_table(results, title="t"), lambda: comparison_table(results)):
        with pytest.raises(UserError, match=r"contrastive and other are not comparable.*trunk_weights, trials"):
            table()


@pytest.mark.parametrize(
    ("change", "options", "mark"),
    [
        ({"trunk_weights": "random"}, {}, "random trunk weights"),
        ({"selection": "published_test_max"}, {}, "selected on test (published_test_max)"),
        ({}, {"include_best": True}, "mean includes the selected trial (include_best)"),
        ({}, {"reproductions": 0}, "the selected trial itself, no reproductions"),
    ],
)
def test_what_a_reader_must_know_is_marked_in_every_form(store, change, options, mark):
    make_experiment(store, "one", protocol={**PROTOCOL, **change}, **options)
    table = suite_table(read(store, {"one": "one"}), title="t")
    assert table.columns[-1] == "Note"
    assert table.rows[-1][-1] == mark
    for text in (table.csv, table.text):
        assert mark in text
    assert mark.replace("_", r"\_") in table.markdown
    assert mark.replace("_", r"\_") in table.latex


def test_reproductions_of_a_beaten_setting_are_said_to_be_left_out(store):
    experiment = make_experiment(store, "one")
    better = store.add_trial(experiment.id, "search", 8, {"alpha": 1.0})
    store.finish_trial(better.id, 0.99, 0.0)
    store.refresh_summaries(experiment.id)
    table = suite_table(read(store, {"one": "one"}), title="t")
    assert "5 reproductions of a setting that a later trial beat are not counted" in table.rows[-1][-1]


def test_one_reproduction_has_a_value_and_no_interval_or_group(store):
    names = fill(store, {"a": 0.0, "b": 0.1}, reproductions=1)
    rows = rows_of(suite_table(read(store, names), title="t"))
    assert (rows["a"]["MAP@R sep. half width"], rows["a"]["MAP@R sep. n"], rows["a"]["Group"]) == ("", "1", "")
    assert comparison_table(read(store, names)).rows[0][-1] == "too few reproductions to tell"


def test_a_suite_half_done_shows_how_far_it_is(store):
    names = fill(store, {"a": 0.0})
    experiment = store.create_experiment(
        "demo_b", {}, "c", PROTOCOL, "f00d", 0, {"trials": 8, "reproductions": [0, 1]}, "/e/demo_b"
    )
    store.add_trial(experiment.id, "search", 0, {"alpha": 1.0})
    said = []
    planned = {"c": Budget(8, (0, 1)), "a": Budget(4, tuple(range(5))), "b": Budget(9, (0, 1))}
    print_suite(store, {**names, "b": "demo_b", "c": "demo_c"}, said.append, title="half done", planned=planned)
    lines = [line.split() for line in said[0].splitlines()]
    assert [line[0] for line in lines[4:7]] == ["c", "a", "b"]
    assert lines[4] == ["c", "0/8", "0/2", "0", "0"]
    assert lines[6] == ["b", "0/9", "0/2", "0", "0"]
    assert "Not started: c." in said[0]
    assert "  b: none yet" in said
    with pytest.raises(UserError, match="None of nothing"):
        print_suite(store, {"x": "nothing"}, said.append, title="t")


def test_files_are_written_for_the_table_and_both_kinds_of_pairs(three, tmp_path):
    store, names = three
    write_suite(store, names, tmp_path, title="t")
    stems = ("table", "pairs_separate", "pairs_concatenated")
    expected = {f"{stem}.{form}" for stem in stems for form in ("csv", "md", "tex")}
    assert {path.name for path in tmp_path.iterdir()} == expected
    assert (tmp_path / "table.csv").read_text() == suite_table(read(store, names), title="t").csv


def test_copied_folders_alone_give_the_same_table(three, tmp_path):
    store, names = three
    original = suite_table(read(store, names), title="t")
    with Store.in_memory() as copy:
        from powerbench.store.record import read_record

        for name in names.values():
            store.write_record(name, tmp_path / name)
            copy.import_record(read_record(tmp_path / name))
        assert suite_table(read(copy, names), title="t") == original
    with store_of_record(tmp_path / "demo_triplet") as (single, name):
        table = suite_table(read(single, {"triplet": name}), title="t")
    expected = dict(zip(original.columns, original.rows[2], strict=True))
    found = dict(zip(table.columns, table.rows[1], strict=True))
    assert {**found, "Group": "a"} == {**expected, "Group": "a"}


def test_intervals_of_different_confidence_do_not_stand_in_one_table(store):
    names = fill(store, {"a": 0.0, "b": 0.1})
    for name in names.values():
        store.refresh_summaries(store.experiment(name).id, confidence=0.9)
    assert "of the 90% interval" in suite_table(read(store, names), title="t").notes[0]
    store.refresh_summaries(store.experiment("demo_b").id, confidence=0.95)
    with pytest.raises(UserError, match=r"0\.9, 0\.95"):
        suite_table(read(store, names), title="t")


def test_means_with_and_without_the_selected_trial_stand_in_no_table_together(store):
    make_experiment(store, "a", trials=4, folds=2)
    make_experiment(store, "b", trials=4, folds=2, include_best=True)
    results = read(store, {"a": "a", "b": "b"})
    for table in (
        lambda: suite_table(results, title="t"),
        lambda: tables_of(results, mode="separate", metric="map_at_r"),
    ):
        with pytest.raises(UserError, match=r"means of b include the selected trial, those of a do not"):
            table()


def test_failed_reproductions_are_told_because_only_the_others_are_in_the_mean(store):
    names = fill(store, {"contrastive": 0.0, "triplet": -0.001}, reproductions=3)
    experiment = store.experiment("demo_triplet")
    store.fail_trial(store.trials(experiment.id, "reproduction")[0].id, "nan", "the loss is NaN")
    store.refresh_summaries(experiment.id)
    row = rows_of(suite_table(read(store, names), title="t"))["triplet"]
    assert row["MAP@R sep. n"] == "2"
    assert row["Note"] == "1 of 3 reproductions failed and are in no mean"


def test_other_versions_are_noted_below_the_table(store):
    names = fill(store, {"contrastive": 0.0, "triplet": -0.001})
    results = read(store, names)
    assert not any("environments" in note for note in suite_table(results, title="t").notes)
    environments = tuple(
        replace(row, content={**row.content, "torch": "0.4", "host": "elsewhere"})
        for row in results["triplet"].environments
    )
    results["triplet"] = replace(results["triplet"], environments=environments)
    expected = "contrastive and triplet were computed in different environments (torch 2.14.1 -> 0.4)."
    assert expected in suite_table(results, title="t").notes
    assert expected in tables_of(results, mode="separate", metric="map_at_r")["methods"].notes


def test_a_comparison_has_one_confidence_and_says_which(store):
    names = fill(store, {"contrastive": 0.0, "triplet": -0.001})
    for name in names.values():
        store.refresh_summaries(store.experiment(name).id, 0.99)
    methods, pairs = tables_of(read(store, names), mode="separate", metric="map_at_r").values()
    assert "99% interval" in methods.notes[0]
    assert "99% paired t interval" in pairs.notes[0]
    store.refresh_summaries(store.experiment(names["triplet"]).id, 0.95)
    with pytest.raises(UserError, match="different confidence levels"):
        tables_of(read(store, names), mode="separate", metric="map_at_r")
