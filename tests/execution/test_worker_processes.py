"""The pool of worker processes, with real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from job_runners import job

from powerbench.errors import PowerbenchError, UserError
from powerbench.execution.in_process import InProcess
from powerbench.execution.worker_processes import WorkerProcesses
from powerbench.jobs import EvaluateJob, Places

pytestmark = pytest.mark.slow
RUNNER = "job_runners:run"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def pool():
    with WorkerProcesses(2, runner=RUNNER) as executor:
        yield executor


def drain(executor):
    results = {}
    while executor.pending:
        if (finished := executor.next_result(timeout=1)) is not None:
            results[finished[0]] = finished[1]
    return results


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1]


def alive(process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_results_are_those_of_one_process_and_workers_are_reused(pool):
    jobs = {f"job {fold}": job("compute", fold=fold, folder="x", nested={"a": [1, 2.5, None]}) for fold in range(6)}
    with InProcess(runner=RUNNER) as here:
        for executor in (here, pool):
            for key, each in jobs.items():
                executor.submit(key, each)
        expected, got = drain(here), drain(pool)
    pids = {result.environment["pid"] for result in got.values()}
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids
    for results in (expected, got):
        for result in results.values():
            result.environment.pop("pid")
    assert got == expected


def test_jobs_start_in_order_and_run_side_by_side(pool):
    for fold in range(4):
        pool.submit(fold, job("sleep", fold=fold, seconds=0.5))
    assert pool.pending == 4
    assert pool.next_result(timeout=0) is None
    spans = [result.environment["span"] for _, result in sorted(drain(pool).items())]
    assert max(spans[0][0], spans[1][0]) < min(spans[2][0], spans[3][0])
    assert sum(overlap(a, b) for i, a in enumerate(spans) for b in spans[:i]) >= 2
    assert pool.next_result() is None


def test_errors_reach_the_driver_and_the_pool_goes_on(pool):
    pool.submit(0, job("mistake"))
    with pytest.raises(UserError, match=r"no such loss: ContrastivLoss. Did you mean ContrastiveLoss\?"):
        drain(pool)
    pool.submit(1, job("breakdown"))
    with pytest.raises(PowerbenchError, match="the disk is full"):
        drain(pool)
    pool.submit(2, job("bug"))
    pool.submit(3, job("compute"))
    results = drain(pool)
    assert "KeyError" in results[2].failure.message
    assert results[3].failure is None


def test_a_job_whose_worker_dies_is_tried_once_on_a_fresh_worker(pool, tmp_path):
    folder = str(tmp_path)
    pool.submit("segfault", job("die", fold=0, times=1, signal="SIGSEGV", folder=folder))
    pool.submit("other", job("compute", fold=1))
    pool.submit("always", job("die", fold=2, times=9, signal="SIGSEGV", folder=folder))
    pool.submit("exit", job("leave", fold=3))
    results = drain(pool)
    assert results["segfault"].failure is None
    assert results["other"].failure is None
    assert results["always"].failure.kind == "error"
    assert "SIGSEGV" in results["always"].failure.message
    assert (tmp_path / "attempts2").read_text() == ".."
    assert "exited with status 7" in results["exit"].failure.message


def test_an_evaluation_whose_worker_cannot_start_fails_as_one():
    with WorkerProcesses(1, runner="no_such_module:run") as executor:
        executor.submit(0, EvaluateJob({}, (), ("test",), ("separate",), Places("data", "cache")))
        (result,) = drain(executor).values()
    assert "exited with status 1" in result.failure.message


@pytest.mark.parametrize("action", ["out_of_memory", "killed"])
def test_what_lacked_memory_is_tried_again_alone(pool, tmp_path, action):
    arguments = {"action": "die", "signal": "SIGKILL"} if action == "killed" else {"action": "out_of_memory"}
    pool.submit("big", job(**arguments, times=1, folder=str(tmp_path), fold=0))
    for fold in range(1, 4):
        pool.submit(fold, job("sleep", fold=fold, seconds=0.6))
    results = drain(pool)
    assert results["big"].failure is None
    assert (tmp_path / "attempts0").read_text() == ".."
    span = results["big"].environment["span"]
    assert not [fold for fold in range(1, 4) if overlap(span, results[fold].environment["span"])]


def test_out_of_memory_when_alone_is_the_result(pool, tmp_path):
    pool.submit(0, job("out_of_memory", times=9, folder=str(tmp_path)))
    assert drain(pool)[0].failure.kind == "out_of_memory"
    assert (tmp_path / "attempts0").read_text() == ".."


def test_reports_and_log_lines_come_back():
    lines = []
    with WorkerProcesses(1, runner=RUNNER, on_report=lambda key, text: lines.append((key, text))) as executor:
        executor.submit("a", job("talk"))
        drain(executor)
    assert lines == [("a", "epoch 1"), ("a", "checkpoint written"), ("a", "warning: checkpoint torn")]


def test_threads_follow_the_run_whatever_the_number_of_workers(pool, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    pool.submit("blas", job("threads", threads_per_run=1))
    pool.submit("torch", job("threads", threads_per_run=1, torch=True))
    results = drain(pool)
    assert set(results["blas"].environment["blas"]) == {1}
    assert results["torch"].environment["torch"] == 1
    pool.submit("two", job("threads", threads_per_run=2, torch=True))
    assert drain(pool)["two"].environment["torch"] == 2


@pytest.mark.parametrize(("visible", "expected"), [(None, {"0", "1"}), ("4,7", {"4", "7"}), ("", {"0", "1"})])
def test_workers_are_pinned_to_devices(monkeypatch, visible, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with WorkerProcesses(2, devices=["0", "1"], runner=RUNNER) as executor:
        for fold in range(2):
            executor.submit(fold, job("environment", fold=fold))
        results = drain(executor)
    assert {result.environment["cuda"] for result in results.values()} == expected


def test_stop_ends_running_jobs_and_drops_waiting_ones():
    def stop(key, text):
        executor.stop()

    with WorkerProcesses(2, runner=RUNNER, on_report=stop) as executor:
        executor.submit("finishes", job("finish_when_stopped"))
        executor.submit("stops", job("until_stopped"))
        executor.submit("waits", job("compute"))
        results = drain(executor)
        executor.submit("late", job("compute"))
        assert executor.pending == 0
        assert executor.next_result() is None
    assert set(results) == {"finishes"}


def test_a_worker_that_dies_while_stopping_leaves_its_job_for_the_next_start():
    with WorkerProcesses(1, runner=RUNNER, on_report=lambda key, text: executor.stop()) as executor:
        executor.submit(0, job("killed_when_stopped"))
        assert drain(executor) == {}


def test_workers_leave_the_end_to_their_driver(pool):
    pool.submit(0, job("ended_by_a_cluster"))
    (result,) = drain(pool).values()
    assert result.failure is None
    assert result.environment["child"] == 128 + signal.SIGTERM


def test_close_ends_busy_workers_with_their_children(tmp_path):
    others = psutil.Process().children(recursive=True)
    executor = WorkerProcesses(1, runner=RUNNER)
    executor.submit(0, job("busy_in_native_code", folder=str(tmp_path)))
    wait_for(tmp_path / "busy0")
    family = set(psutil.Process().children(recursive=True)).difference(others)
    assert len(family) >= 4  # worker, guard and two children
    executor.close()
    executor.close()
    assert_gone(family, seconds=2)


def test_an_idle_worker_that_was_killed_is_replaced(pool):
    pool.submit(0, job("compute"))
    pid = drain(pool)[0].environment["pid"]
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    pool.submit(1, job("compute"))
    assert drain(pool)[1].environment["pid"] != pid


DRIVER = """
    import sys
    sys.path[:0] = [{tests!r}, {root!r}]
    from job_runners import job
    from powerbench.execution.worker_processes import WorkerProcesses
    print("main runs", flush=True)
    if __name__ == "__main__":
        executor = WorkerProcesses(2, runner="job_runners:run")
        executor.submit(0, job({action!r}, fold=0, folder={folder!r}))
        executor.submit(1, job({action!r}, fold=1, folder={folder!r}))
        while executor.pending:
            if (finished := executor.next_result(1)) is not None:
                print(finished[1].environment.get("main"), flush=True)
        executor.close()
"""


def driver_script(folder: Path, action: str) -> Path:
    script = folder / "driver.py"
    values = {"tests": str(Path(__file__).parent), "root": str(ROOT), "folder": str(folder), "action": action}
    script.write_text(textwrap.dedent(DRIVER).format(**values))
    return script


def test_nothing_outlives_a_killed_driver_by_two_seconds(tmp_path):
    script = driver_script(tmp_path, "busy_in_native_code")
    driver = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL)
    wait_for(tmp_path / "busy0")
    wait_for(tmp_path / "busy1")
    family = psutil.Process(driver.pid).children(recursive=True)
    assert len(family) >= 8
    assert all(alive(process) for process in family)
    driver.kill()
    driver.wait()
    assert_gone(family, seconds=2)


def test_nothing_is_left_if_the_driver_is_killed_while_workers_start(tmp_path):
    script = driver_script(tmp_path, "busy_in_native_code")
    for delay in (0.0, 0.05, 0.2):
        driver = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL)
        process = psutil.Process(driver.pid)
        deadline = time.monotonic() + 20
        while not process.children() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(delay)
        family = process.children(recursive=True)
        driver.kill()
        driver.wait()
        assert family
        assert_gone(family, seconds=2)


def test_workers_do_not_run_the_main_script_again(tmp_path):
    script = driver_script(tmp_path, "main_module")
    output = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = output.stdout.splitlines()
    assert lines.count("main runs") == 1
    assert [Path(line).name for line in lines[1:]] == ["worker.py", "worker.py"]


def test_interrupt_from_the_terminal_reaches_only_the_driver(tmp_path):
    script = driver_script(tmp_path, "busy_in_native_code")
    driver = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # tests may run in background
    )
    wait_for(tmp_path / "busy0")
    wait_for(tmp_path / "busy1")
    family = psutil.Process(driver.pid).children(recursive=True)
    os.killpg(driver.pid, signal.SIGINT)
    _, errors = driver.communicate(timeout=10)
    assert errors.count("Traceback") == 1
    assert "KeyboardInterrupt" in errors
    assert_gone(family, seconds=2)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.02)


def assert_gone(family, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = [process for process in family if alive_or_false(process)]
        if not left:
            return
        time.sleep(0.02)
    assert not left, f"still alive: {[process.cmdline() for process in left]}"


def alive_or_false(process) -> bool:
    try:
        return alive(process)
    except psutil.NoSuchProcess:
        return False
