"""How long the rest may take, and what is seen at work."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerbench.driver import statuses
from powerbench.driver.statuses import AtWork, Counts, most_at_once
from powerbench.store.rows import RunRow

SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)).map(lambda s: (float(s[0]), float(s[0] + s[1]))))


@settings(max_examples=50, deadline=None)
@given(SPANS)
def test_the_most_at_once_is_found_by_looking_at_every_moment(spans):
    slow = max((sum(begin <= moment < end for begin, end in spans) for moment in range(45)), default=0)
    assert most_at_once(spans) == slow


def test_one_after_the_other_is_one_at_a_time():
    assert most_at_once([(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]) == 1


def run_row(number, finished, seconds, state="done"):
    time = datetime.fromtimestamp(finished, UTC).isoformat(timespec="microseconds")
    return RunRow(
        number, 1, number, "f", 0, "s", state, 1, 0.5, 4, 12, seconds, seconds, "f", None, None, None, time, time
    )


@pytest.mark.parametrize(
    ("runs", "since", "at_work", "workers", "each"),
    [
        ([(100, 10), (110, 10)], None, 0, 1, 10),
        ([(100, 10), (101, 10), (102, 13)], None, 0, 3, 11),
        ([(100, 10), (101, 10), (500, 10)], 400, 0, 1, 10),  # another session had two workers; this one has one
        ([(500, 300)], 400, 4, 4, 300),  # continued from a checkpoint of an earlier session; four are at work
    ],
)
def test_the_time_left_is_fold_runs_times_seconds_over_workers(runs, since, at_work, workers, each):
    rows = [run_row(number, end, length) for number, (end, length) in enumerate(runs)]
    jobs = [AtWork("search:1", fold, "epoch 1", "now") for fold in range(at_work)]
    found = statuses._estimate({1: rows}, Counts(len(runs), 0, 20), since, jobs)
    assert (found.workers, found.seconds_per_fold_run) == (workers, each)
    assert found.seconds_left == pytest.approx((20 - len(runs)) * each / workers)


def test_without_a_finished_fold_run_there_is_no_estimate():
    assert statuses._estimate({1: [run_row(0, 5, None, "failed")]}, Counts(0, 1, 4), None, ()) is None
