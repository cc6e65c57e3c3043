"""One driver at a time, whatever happened to the one before."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from store_results import make_experiment, train_result

from powerbench.errors import UserError
from powerbench.store import lease as lease_module
from powerbench.store import process as process_module
from powerbench.store.folder_lock import folder_lock
from powerbench.store.lease import LeaseLost, LeaseRefused, driver_lives
from powerbench.store.process import ProcessIdentity, is_alive, this_process
from powerbench.store.store import Store


def rewrite_lease(store, **values):
    columns = ", ".join(f"{name} = :{name}" for name in values)
    with store._database.writing() as connection:
        from sqlalchemy import text

        connection.execute(text(f"UPDATE leases SET {columns}"), values)


def test_a_lease_names_its_process_and_goes_when_released(store, experiment):
    with store.acquire_lease(experiment.id) as lease:
        row = store.driver(experiment.id)
        assert (row.pid, row.token) == (os.getpid(), lease.token)
        assert all([row.host, row.machine, row.process_started])
        assert driver_lives(row) is True
        assert time.time() - row.since < 5
    assert store.driver(experiment.id) is None


def test_a_second_driver_is_refused_while_the_first_lives(store, experiment):
    with Store.open(store._database.path) as other:
        with store.acquire_lease(experiment.id):
            rewrite_lease(store, heartbeat=0.0)  # a stopped process or a moved clock does not make it dead
            with pytest.raises(LeaseRefused, match=rf"Another driver \(process {os.getpid()} on .* since \d{{4}}-"):
                other.acquire_lease(experiment.id)
            with pytest.raises(LeaseRefused):
                other.delete_experiment("first")
        with other.acquire_lease(experiment.id):
            assert other.driver(experiment.id) is not None


def test_different_experiments_are_driven_side_by_side(store, experiment, tmp_path):
    second = make_experiment(store, tmp_path, "second")
    with Store.open(store._database.path) as other, store.acquire_lease(experiment.id), other.acquire_lease(second.id):
        store.add_trial(experiment.id, "search", 0, {})
        other.add_trial(second.id, "search", 0, {})


def test_a_lost_lease_stops_every_write(store, experiment):
    lease = store.acquire_lease(experiment.id)
    trial = store.add_trial(experiment.id, "search", 0, {})
    store.add_run(trial.id, 0, 1, "a")
    rewrite_lease(store, token="somebody else's")
    writes = [
        lambda: store.add_trial(experiment.id, "search", 1, {}),
        lambda: store.add_run(trial.id, 1, 1, "b"),
        lambda: store.finish_run(trial.id, 0, train_result()),
        lambda: store.reopen_run(trial.id, 0),
        lambda: store.finish_trial(trial.id, 0.5, None),
        lambda: store.fail_trial(trial.id, "nan", ""),
        lambda: store.delete_trial(trial.id),
        lambda: store.refresh_summaries(experiment.id),
        lambda: store.update_experiment("first", budget={}),
        lambda: store.delete_experiment("first"),
        lease.beat,
    ]
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    assert store.trial(trial.id).state == "running"
    assert store.runs(trial.id)[0].state == "running"
    lease.release()
    assert store.driver(experiment.id).token == "somebody else's"


def test_every_write_is_a_heartbeat(store, experiment):
    with store.acquire_lease(experiment.id):
        rewrite_lease(store, heartbeat=5.0)
        store.add_trial(experiment.id, "search", 0, {})
        assert store.driver(experiment.id).heartbeat > time.time() - 5


def test_the_heart_beats_by_itself(store, experiment, monkeypatch):
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 0.02)
    with store.acquire_lease(experiment.id):
        rewrite_lease(store, heartbeat=5.0)
        end = time.monotonic() + 10
        while store.driver(experiment.id).heartbeat == 5.0:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name == "lease heartbeat"]


def test_the_heart_stops_when_the_lease_is_lost_and_survives_a_busy_store(store, experiment, monkeypatch):
    from powerbench.errors import PowerbenchError

    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 0.01)
    beats = []

    def beat(held):
        beats.append(held)
        raise PowerbenchError("busy") if len(beats) < 3 else LeaseLost("gone")

    monkeypatch.setattr(store, "beat", beat)
    lease = store.acquire_lease(experiment.id)
    lease._thread.join(10)
    assert len(beats) == 3
    lease.release()


def test_a_lease_that_cannot_be_given_back_does_not_hide_what_happened(store, experiment, monkeypatch, caplog):
    from powerbench.errors import PowerbenchError

    def fail(_):
        raise PowerbenchError("the disk is full")

    monkeypatch.setattr(store, "release_lease", fail)
    with pytest.raises(KeyError), store.acquire_lease(experiment.id):
        raise KeyError
    assert "the disk is full" in caplog.text


def test_a_deleted_experiment_takes_its_lease_with_it(store, experiment):
    with store.acquire_lease(experiment.id) as lease:
        store.delete_experiment("first")
        with pytest.raises(LeaseLost):
            lease.beat()


ELSEWHERE = {"host": "elsewhere", "machine": "another boot"}


def test_a_driver_on_another_machine_is_judged_by_its_heartbeat(store, experiment):
    store.acquire_lease(experiment.id)
    rewrite_lease(store, **ELSEWHERE, heartbeat=time.time() - 80)
    with Store.open(store._database.path) as other:
        with pytest.raises(LeaseRefused, match="on elsewhere"):
            other.acquire_lease(experiment.id)
        rewrite_lease(store, heartbeat=time.time() - 100)
        other.acquire_lease(experiment.id).release()


@pytest.mark.parametrize("beating", [False, True])
def test_a_heartbeat_in_the_future_is_watched(store, experiment, beating):
    store.acquire_lease(experiment.id)
    rewrite_lease(store, **ELSEWHERE, heartbeat=time.time() + 86400)
    assert driver_lives(store.driver(experiment.id)) is None
    stop = threading.Event()

    def beat():
        count = 0
        while beating and not stop.wait(0.05):
            count += 1
            rewrite_lease(store, heartbeat=time.time() + 86400 + count)

    thread = threading.Thread(target=beat)
    thread.start()
    with Store.open(store._database.path) as other:
        if beating:
            with pytest.raises(LeaseRefused):
                other.acquire_lease(experiment.id, stale_seconds=0.5)
        else:
            other.acquire_lease(experiment.id, stale_seconds=0.5).release()
    stop.set()
    thread.join()


def test_a_process_id_used_again_is_another_process():
    me = this_process()
    assert is_alive(me) is True
    assert is_alive(replace(me, started="1")) is False
    assert is_alive(replace(me, machine="another container")) is None
    assert is_alive(replace(me, host="elsewhere")) is None


def test_a_dead_process_is_not_alive_even_before_its_parent_looks():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = replace(this_process(), pid=child.pid, started=process_module._started(child.pid))
    assert is_alive(identity) is True
    child.kill()
    end = time.monotonic() + 10
    while is_alive(identity):  # a zombie until waited for
        assert time.monotonic() < end
    child.wait()
    assert is_alive(identity) is False


def test_where_there_is_no_proc_the_process_id_decides(monkeypatch):
    me = replace(this_process(), started=None)
    monkeypatch.setattr(process_module.Path, "exists", lambda self: False)
    monkeypatch.setattr(process_module, "_machine", lambda: me.machine)
    assert is_alive(me) is True
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert is_alive(replace(me, pid=child.pid)) is False
    assert isinstance(me, ProcessIdentity)

    def not_ours(*_):
        raise PermissionError

    monkeypatch.setattr(process_module.os, "kill", not_ours)
    assert is_alive(me) is True


DRIVER = """
import os, sys, time
from pathlib import Path
from powerbench.store.store import Store
store = Store.open(sys.argv[1])
held = store.lease(store.experiment("first").id, Path(sys.argv[2]))
held.__enter__()
children = [os.fork()] if sys.argv[3] == "fork" else []
if children == [0]:
    time.sleep(60)
    os._exit(0)
print(children, flush=True)
time.sleep(60)
"""


def start_driver(store, folder, how="alone"):
    command = [sys.executable, "-c", DRIVER, str(store._database.path), str(folder), how]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return driver, json.loads(driver.stdout.readline())


@pytest.mark.slow
def test_a_killed_driver_is_followed_at_once_though_its_child_lives(store, experiment, tmp_path):
    driver, children = start_driver(store, tmp_path / "first", "fork")
    try:
        with pytest.raises(LeaseRefused, match="Another process is working in"), folder_lock(tmp_path / "first"):
            pass
        with pytest.raises(LeaseRefused, match=rf"process {driver.pid} on"):
            store.acquire_lease(experiment.id)
        driver.kill()
        driver.wait()
        os.kill(children[0], 0)
        with store.lease(experiment.id, tmp_path / "first"):
            assert store.driver(experiment.id).pid == os.getpid()
    finally:
        driver.kill()
        os.kill(children[0], signal.SIGKILL)
        driver.stdout.close()


def test_a_folder_is_locked_once_in_a_process_too(tmp_path):
    with folder_lock(tmp_path / "new"):
        with pytest.raises(LeaseRefused, match="already working"), folder_lock(tmp_path / "new"):
            pass
        with folder_lock(tmp_path / "other"):
            pass
        with pytest.raises(LeaseRefused), folder_lock(tmp_path / "other" / ".." / "new"):
            pass
    with folder_lock(tmp_path / "new"):
        pass
    assert issubclass(LeaseRefused, UserError)
