import os
import signal
import time

import pytest

from powerbench.driver.folder import ExperimentFolder, check_name
from powerbench.driver.stopping import parse_duration, stop_on_signals
from powerbench.errors import Stopped, UserError


@pytest.mark.parametrize("name", ["t1", "cub_contrastive41", "a.b-c+d"])
def test_names_of_folders(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "meta_logs", "x" * 121, None, "-x"])
def test_what_cannot_name_a_folder_is_refused(name):
    with pytest.raises(UserError, match="name an experiment"):
        check_name(name)


def test_weights_of_one_trial_are_dropped_alone(tmp_path):
    folder = ExperimentFolder(tmp_path)
    for number in (1, 11):
        path = folder.fold_run("search", number, "f_0")
        path.mkdir(parents=True)
        (path / "embedder_best.pth").write_bytes(b"w")
    folder.drop_weights("search", 1)
    folder.drop_weights("search", 5)
    assert [p.name for p in tmp_path.iterdir()] == ["search_11"]


@pytest.mark.parametrize(("text", "seconds"), [("11h30m", 41400), ("45m", 2700), ("90s", 90), ("3600", 3600)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1d", "-3", "1h-2m", "0", "0h0m"])
def test_what_is_no_duration(text):
    with pytest.raises(UserError, match="--stop_after"):
        parse_duration(text)


class Quiet:
    """Stands for an executor with one job running when the stop is asked for."""

    def __init__(self):
        self.pending = 1
        self.stopped = False

    def stop(self):
        self.stopped = True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_stops_the_work_once_nothing_runs_any_more(number):
    executor = Quiet()
    before = signal.getsignal(number)
    with stop_on_signals(executor) as stop:
        stop.check(executor)
        os.kill(os.getpid(), number)
        assert executor.stopped
        stop.check(executor)
        executor.pending = 0
        with pytest.raises(Stopped, match="the same command continues"):
            stop.check(executor)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_work_that_does_not_come_to_rest_is_ended(monkeypatch):
    monkeypatch.setattr("powerbench.driver.stopping.GRACE_SECONDS", 0.05)
    with stop_on_signals(Quiet()), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_time_that_is_over_stops_the_work():
    executor = Quiet()
    with stop_on_signals(executor, 0.05) as stop:
        signal.pause()
        assert executor.stopped
        executor.pending = 0
        with pytest.raises(Stopped, match="time is over"):
            stop.check(executor)
