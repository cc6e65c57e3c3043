"""The log of an experiment: whole lines, whatever happens to it."""

import json
import logging
import math

import pytest

from powerbench.driver.log import ExperimentLog, open_log, read_tail
from powerbench.driver.progress import Progress
from powerbench.jobs import Failure
from powerbench.store.rows import TrialRow
from tests.driver.results import result


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def trial(number=3, state="running", kind="search", mean=None):
    return TrialRow(1, 1, kind, number, {"a": 1.0}, state, None, None, mean, 0.1, {"strategy": "ax"}, "now", None)


def test_each_line_is_an_object_with_time_level_and_event(tmp_path):
    for number in range(2):
        log = ExperimentLog(tmp_path / "log.jsonl")
        log.write("fold_run", trial=f"search:{number}", value=math.nan, numbers=(1, 2), place=tmp_path)
        log.close()
    found = lines(tmp_path / "log.jsonl")
    assert [line["trial"] for line in found] == ["search:0", "search:1"]
    assert found[0].keys() == {"time", "level", "event", "trial", "value", "numbers", "place"}
    assert (found[0]["level"], found[0]["value"], found[0]["numbers"]) == ("info", None, [1, 2])
    assert found[0]["time"].endswith("+00:00")


def test_a_torn_line_is_ended_and_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "start"}\n{"event": "rep')
    log = ExperimentLog(path)
    log.write("resume")
    log.close()
    assert [line["event"] for line in read_tail(path)] == ["start", "resume"]
    assert path.read_bytes().count(b"\n") == 3


def test_only_the_end_of_a_long_log_is_read(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"event": "report", "n": n}) + "\n" for n in range(1000)))
    tail = read_tail(path, 100)
    assert tail[-1]["n"] == 999
    assert len(tail) < 5
    assert read_tail(tmp_path / "none.jsonl") == []


def test_a_log_that_cannot_be_written_stops_nothing_and_is_complained_of_once(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    log = ExperimentLog(tmp_path / "file" / "log.jsonl")
    log.write("start")
    log.write("end")
    log.close()
    assert capsys.readouterr().err.count("goes on without its log") == 1


def test_warnings_of_our_loggers_are_logged_and_shown(tmp_path, capsys):
    logger = logging.getLogger("powerbench.training.checkpoints")
    with open_log(tmp_path / "log.jsonl") as log:
        log.write("start")
        logger.warning("%s cannot be read", "checkpoint.pth")
        logging.getLogger("elsewhere").error("not ours")
    logger.warning("too late")
    found = lines(tmp_path / "log.jsonl")
    assert [(line["event"], line["level"]) for line in found] == [("start", "info"), ("warning", "warning")]
    assert found[1]["message"] == "checkpoint.pth cannot be read"
    assert "checkpoint.pth cannot be read" in capsys.readouterr().err


@pytest.fixture(name="progress")
def _progress(tmp_path):
    log = ExperimentLog(tmp_path / "log.jsonl")
    yield Progress("t", 8, 0, 2, log)
    log.close()


def test_every_step_is_logged(progress, tmp_path, capsys):
    progress.proposed(trial())
    progress.reported(trial(), 1, "epoch 2 of 9")
    progress.fold_run_done(trial(), 0, "f_0", result(value=0.25, seconds=3.0))
    progress.fold_run_done(trial(), 1, "f_1", result(failure=Failure("nan", "the loss is NaN")))
    progress.trial_done(trial(state="done", mean=0.25))
    progress.evaluated(trial(), 2.0)
    progress.evaluation_failed(trial(), Failure("error", "no"))
    progress.overtaken(1)
    found = lines(tmp_path / "log.jsonl")
    events = ["proposal", "report", "fold_run", "fold_run", "trial", "evaluation", "evaluation", "overtaken"]
    assert [line["event"] for line in found] == events
    assert {line["trial"] for line in found[:-1]} == {"search:3"}
    assert found[0]["parameters"] == {"a": 1.0}
    assert (found[1]["fold"], found[1]["text"]) == (1, "epoch 2 of 9")
    assert (found[2]["state"], found[2]["seconds"], found[2]["best_value"]) == ("done", 3.0, 0.25)
    assert (found[3]["state"], found[3]["kind"], found[3]["level"]) == ("failed", "nan", "error")
    assert found[4]["mean"] == 0.25
    assert [line["state"] for line in found[5:7]] == ["done", "failed"]
    assert "the loss is NaN" in capsys.readouterr().out


def test_warnings_of_workers_are_shown_and_keep_their_level(progress, tmp_path, capsys):
    progress.reported(trial(), 0, "warning: the checkpoint cannot be read")
    progress.reported(trial(), None, "started")
    assert [line["level"] for line in lines(tmp_path / "log.jsonl")] == ["warning", "info"]
    shown = capsys.readouterr()
    assert shown.err.strip() == "warning: the checkpoint cannot be read"
    assert shown.out == ""
