"""What an earlier program logged stands beside our results, and is compared only where that says something."""

from dataclasses import replace

import pytest
import scipy.stats

from meta_logs.formatting import Estimate
from meta_logs.logged import Logged, LoggedValue, keep_logged, logged_table, report_logged
from meta_logs.reproduced import Reproduced
from meta_logs.results import results_of
from meta_logs.verdict import logged_verdict
from tests.meta_logs.synthetic_experiments import make_experiment

SAME = Reproduced("/somewhere/old")


@pytest.fixture(name="now")
def _now(store):
    make_experiment(store, "new", trials=0)
    return results_of(store, "new")


def logged(now, *, shift=0.0, trainings=5, splits=("test",)):
    """As if the same numbers, or some ``shift`` away, had been logged then."""
    values = [
        LoggedValue(f"r{number}", split, mode, "trained", "map_at_r", value + shift)
        for split in splits
        for mode in ("separate", "concatenated")
        for number, value in list(now.values("test", mode, "map_at_r").items())[:trainings]
    ]
    return Logged("the earlier program", "/somewhere/old", tuple(values), ("one table was damaged.",))


def test_the_table_shows_both_and_their_difference(now):
    table = logged_table(logged(now, shift=0.1, splits=("val", "test")), now)
    assert [row[:4] for row in table.rows] == [
        ("test", "separate", "trained", "MAP@R"),
        ("test", "concatenated", "trained", "MAP@R"),
        ("val", "separate", "trained", "MAP@R"),
        ("val", "concatenated", "trained", "MAP@R"),
    ]
    ours = list(now.values("test", "separate", "map_at_r").values())
    then, measured, difference = table.rows[0][4:]
    expected = scipy.stats.ttest_ind(ours, [value + 0.1 for value in ours], equal_var=False).confidence_interval()
    assert (then.n, measured.n) == (5, 5)
    assert difference.mean == pytest.approx(-0.1)
    assert difference.mean + difference.half_width == pytest.approx(expected.high)
    reached = [trial.mean for trial in now.trials]
    assert table.rows[2][5] == Estimate(
        pytest.approx(sum(reached) / 5), pytest.approx(table.rows[2][5].half_width), 5, True
    )
    assert table.rows[3][5:] == (None, None)
    assert "one table was damaged." in table.notes


def test_a_single_training_has_a_difference_without_an_interval(now):
    difference = logged_table(logged(now, trainings=1), now).rows[0][6]
    assert difference.half_width is None


@pytest.mark.parametrize(
    ("how", "reproduced", "says"),
    [
        ({}, SAME, "agrees with old in all 2 numbers compared."),
        ({"shift": 0.1}, SAME, "does not agree with old: MAP@R separate, MAP@R concatenated differ (of 2 compared)."),
        ({"trainings": 1}, SAME, "too few runs to tell whether it agrees with old"),
        ({"splits": ("val",)}, SAME, "nothing was logged on test in old"),
        ({}, replace(SAME, changed=("split_manager",)), "not comparable: split_manager of old was changed"),
    ],
)
def test_the_verdict(now, how, reproduced, says):
    (sentence,) = logged_verdict(logged(now, **how), now, reproduced).sentences
    assert sentence.startswith(says)


def test_the_report_is_printed_and_written_where_there_is_a_log(store, now, tmp_path):
    said = []
    report_logged(store, "new", tmp_path, said.append)
    assert not said
    keep_logged(tmp_path, logged(now))
    report_logged(store, "new", tmp_path, said.append)
    assert said[0].startswith("new: what the earlier program logged, and what is measured now")
    assert (tmp_path / "meta_logs/logged.csv").is_file()
    keep_logged(tmp_path, Logged("the earlier program", "/old", (), ("no table could be read.",)))
    report_logged(store, "new", tmp_path, said.append)
    assert said[1:] == ["logged: no table could be read."]
