"""The report of one experiment, from a full search to nothing at all."""

import csv
import io
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from synthetic_experiments import PREFIX, PROTOCOL, evaluate, make_experiment, train

from meta_logs import figures
from meta_logs.figures import figures_of
from meta_logs.optimization.search import search_of
from meta_logs.page import report_page
from meta_logs.report import print_report, write_report
from meta_logs.results import results_of
from meta_logs.tables import results_table, trials_table
from powerbench.errors import UserError
from powerbench.store.record import store_of_record
from powerbench.store.store import Store


@pytest.fixture(scope="module")
def searched():
    """A store with one finished search named first, only to be read."""
    with Store.in_memory() as store:
        make_experiment(store, "first")
        yield store


@pytest.fixture(scope="module")
def written(searched, tmp_path_factory):
    """The folder of its report, only to be read."""
    folder = tmp_path_factory.mktemp("written") / "meta_logs"
    write_report(searched, "first", folder)
    return folder


PNG = b"\x89PNG\r\n\x1a\n"


def test_a_search_gets_all_its_files(searched, written, tmp_path):
    names = {path.name for path in written.iterdir()}
    tables = {f"{stem}.{form}" for stem in ("results", "trials") for form in ("csv", "md", "tex")}
    drawn = ("optimization", "learning_curves", "slices", "contours", "parallel_coordinates", "importance")
    pictures = {f"{name}.png" for name in drawn}
    assert names == tables | pictures | {"report.html", "optimization_plots.html"}
    assert all((written / name).read_bytes().startswith(PNG) for name in pictures)
    write_report(searched, "first", tmp_path)
    assert all((tmp_path / name).read_bytes() == (written / name).read_bytes() for name in names)


def test_the_page_is_whole_and_nothing_in_it_runs(written):
    page = (written / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r"(src|href)=\"(?!data:|optimization_plots\.html\")", page)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page, "the environment's text is shown, escaped"
    assert "git/commit" in page
    assert "trunk_weights" in page


def test_hostile_names_and_errors_are_escaped_on_the_page(store):
    name = "<img src=x onerror=alert(1)>"
    experiment = make_experiment(store, name, trials=1, reproductions=0)
    trial = store.add_trial(experiment.id, "search", 1, {"<b>": "</td><script>x</script>"})
    store.fail_trial(trial.id, "error", "<iframe>")
    results = results_of(store, name)
    page = report_page(results, {})
    for tag in ("<img", "<b>", "<script", "<iframe"):
        assert tag not in page
    assert "&lt;iframe&gt;" in page


def test_results_are_ordered_and_include_the_untrained_rows(searched):
    table = results_table(results_of(searched, "first"))
    keys = [row[:4] for row in table.rows]
    assert keys[0] == ("test", "separate", "untrained trunk", "MAP@R")
    assert [key[2] for key in keys[:9:3]] == ["untrained trunk", "untrained trunk and embedder", "trained"]
    assert {key[1] for key in keys[:9]} == {"separate"}
    assert table.rows[6][4].n == 5
    assert any("Trunk weights: sha256:5239814. Selection: validation_best." in note for note in table.notes)


def test_all_trials_are_listed_with_full_precision(searched):
    rows = list(csv.DictReader(io.StringIO(trials_table(results_of(searched, "first")).csv)))
    assert [row["Kind"] for row in rows] == ["search"] * 8 + ["reproduction"] * 5
    assert rows[3]["State"] == "failed"
    assert rows[3]["Error"] == "nan: the loss is NaN in epoch 2 of fold 0"
    trial = searched.trials(1, "search")[1]
    assert float(rows[1]["alpha"]) == trial.parameters[PREFIX + "alpha"]
    assert float(rows[1]["Mean"]) == trial.mean


def test_a_copied_folder_is_reported_like_the_original(searched, tmp_path):
    searched.write_record("first", tmp_path / "sent")
    with store_of_record(tmp_path / "sent") as (copy, name):
        found, expected = results_of(copy, name), results_of(searched, "first")
        assert results_table(found) == results_table(expected)
        assert trials_table(found).csv == trials_table(expected).csv
        write_report(copy, name, tmp_path / "sent" / "meta_logs")
    assert (tmp_path / "sent" / "meta_logs" / "report.html").exists()


def test_every_table_says_that_the_trunk_began_with_random_weights(store):
    protocol = {**PROTOCOL, "trunk_weights": "random"}
    store.create_experiment("one", {}, "c", protocol, "f", 0, {"trials": 0, "reproductions": []}, "/e/one")
    for table in (trials_table, results_table):
        assert "Note: random trunk weights." in table(results_of(store, "one")).text


def test_a_single_trial_has_curves_and_values_without_intervals(store, tmp_path):
    import numpy as np

    experiment = store.create_experiment("one", {}, "c", PROTOCOL, "f", 0, {"trials": 0, "reproductions": []}, "/e/one")
    trial = store.add_trial(experiment.id, "single", 0, {})
    train(store, trial, "single", 0, 1, 0.4, np.random.default_rng(0))
    evaluate(store, trial, 1, 0.4, 0.0, np.random.default_rng(0))
    store.refresh_summaries(experiment.id)
    write_report(store, "one", tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {"learning_curves.png"}
    said = []
    print_report(store, "one", said.append)
    assert re.search(r"test +separate +trained +MAP@R +40\.00 \(1\)", said[0])


def test_an_experiment_without_results_is_reported_too(store, tmp_path):
    experiment = store.create_experiment("new", {}, "c", {}, "f", 0, {"trials": 2, "reproductions": []}, "/e/new")
    trial = store.add_trial(experiment.id, "search", 0, {"x": 1})
    store.fail_trial(trial.id, "out_of_memory", "there was none")
    write_report(store, "new", tmp_path)
    assert "Nothing has been evaluated yet" in (tmp_path / "report.html").read_text()
    said = []
    print_report(store, "new", said.append)
    assert "new: trials" in said[0]
    assert said[1] == "search trial 0 failed: out_of_memory: there was none"


def test_other_splits_are_printed_if_test_was_not_measured(searched):
    results = results_of(searched, "first")
    only_val = replace(results, summaries=tuple(replace(row, split="val") for row in results.summaries))
    from meta_logs.report import _shown

    assert {row[0] for row in _shown(only_val).rows} == {"val"}
    both = replace(
        results, summaries=(*results.summaries, *only_val.summaries, replace(results.summaries[0], split="x"))
    )
    assert {row[0] for row in _shown(both).rows} == {"test"}
    assert [row[0] for row in results_table(both).rows][-1] == "x"


def test_an_unknown_experiment_is_a_user_error_with_the_nearest_name(store):
    make_experiment(store, "contrastive", trials=1, reproductions=0)
    with pytest.raises(UserError, match="Did you mean contrastive"):
        results_of(store, "contrastiv")


def test_curves_mark_the_epoch_that_validation_chose(searched):
    results = results_of(searched, "first")
    left, right = figures.learning_curves(results).axes
    points = [line for line in left.lines if line.get_marker() == "o"]
    runs = results.runs[results.best.id]
    assert [int(point.get_xdata()[0]) for point in points] == [run.best_epoch for run in runs]
    assert len(right.lines[0].get_xdata()) == 20


def test_choices_and_dollar_signs_are_drawn_as_text(store):
    experiment = store.create_experiment("c", {}, "c", PROTOCOL, "f", 0, {"trials": 4, "reproductions": []}, "/e/c")
    for number, value in enumerate(["a$b", True, "$", 3]):
        trial = store.add_trial(experiment.id, "search", number, {"kind$": value, "p/q": number, "r/q": 1, "s": 2.0})
        store.finish_trial(trial.id, 0.1 * number, None)
    results = results_of(store, "c")
    drawn = figures_of(results, search_of(results))
    everything = {"optimization", "slices", "learning_curves", "contours", "parallel_coordinates", "importance"}
    assert set(drawn) == everything


def test_reports_need_neither_torch_nor_ax():
    heavy = "{'torch', 'ax', 'pandas', 'plotly', 'scipy', 'matplotlib'}"
    code = f"import sys, meta_logs.report, meta_logs.suite; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
