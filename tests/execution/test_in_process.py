"""The executor without processes, and the way every job is run."""

import json
import math
import os
import sys

import pytest
from job_runners import job, result, run

from powerbench.errors import PowerbenchError, UserError
from powerbench.execution import open_executor
from powerbench.execution.in_process import InProcess
from powerbench.execution.running import answer, failed, find_runner, open_reply, run_job
from powerbench.execution.worker_processes import WorkerProcesses
from powerbench.jobs import EvaluateJob, EvaluateResult, Failure, Places, to_json

RUNNER = "job_runners:run"


@pytest.fixture(autouse=True)
def keep_threads(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


def drain(executor):
    results = []
    while executor.pending:
        if (finished := executor.next_result(timeout=1)) is not None:
            results.append(finished)
    return results


def test_jobs_run_in_order_of_submission_when_asked_for():
    with InProcess(runner=RUNNER) as executor:
        for fold in range(3):
            executor.submit(("trial", fold), job("compute", fold=fold))
        assert executor.pending == 3
        assert executor.slots == 1
        results = drain(executor)
    assert [key for key, _ in results] == [("trial", 0), ("trial", 1), ("trial", 2)]
    assert [result.fold_name for _, result in results] == ["fold0", "fold1", "fold2"]
    assert {result.environment["pid"] for _, result in results} == {os.getpid()}
    assert executor.next_result() is None


def test_reports_reach_the_callback():
    lines = []
    with InProcess(runner=RUNNER, on_report=lambda key, text: lines.append((key, text))) as executor:
        executor.submit("a", job("talk"))
        drain(executor)
    assert lines == [("a", "epoch 1")]


def test_out_of_memory_is_tried_once_more(tmp_path):
    with InProcess(runner=RUNNER) as executor:
        executor.submit("once", job("out_of_memory", times=1, folder=str(tmp_path), fold=1))
        executor.submit("always", job("out_of_memory", times=9, folder=str(tmp_path), fold=2))
        (_, once), (_, always) = drain(executor)
    assert once.failure is None
    assert once.environment["attempt"] == 2
    assert always.failure == Failure("out_of_memory", "no memory")
    assert (tmp_path / "attempts2").read_text() == ".."


def test_memory_error_is_out_of_memory():
    with InProcess(runner=RUNNER) as executor:
        executor.submit(0, job("want_memory"))
        ((_, result),) = drain(executor)
    assert result.failure.kind == "out_of_memory"


def test_an_unexpected_exception_is_a_failure_with_its_traceback():
    with InProcess(runner=RUNNER) as executor:
        executor.submit(0, job("bug"))
        ((_, result),) = drain(executor)
    assert result.failure.kind == "error"
    assert result.failure.message.startswith("KeyError: 'missing'")
    assert 'in bug\n    return {}["missing"]' in result.failure.message
    assert math.isnan(result.best_value)


def test_user_errors_and_other_errors_reach_the_driver_and_the_rest_goes_on():
    with InProcess(runner=RUNNER) as executor:
        for key, action in enumerate(("mistake", "breakdown", "compute")):
            executor.submit(key, job(action))
        with pytest.raises(
            UserError, match=r"loss.yaml: loss_funcs: no such loss.*Did you mean ContrastiveLoss\?"
        ) as caught:
            executor.next_result()
        assert caught.value.near == ("ContrastiveLoss",)
        with pytest.raises(PowerbenchError, match="the disk is full") as caught:
            executor.next_result()
        assert caught.value.exit_status == 1
        assert executor.next_result()[0] == 2


def test_an_error_of_the_file_system_ends_the_work_and_not_the_trial():
    with InProcess(runner=RUNNER) as executor:
        executor.submit(0, job("full_disk"))
        with pytest.raises(PowerbenchError, match=r"No space left on device: 'checkpoint.pth'"):
            executor.next_result()


def test_stop_drops_what_waits_and_a_stopped_job_gives_no_result():
    executor = InProcess(runner=RUNNER, on_report=lambda key, text: executor.stop())
    executor.submit(0, job("until_stopped"))
    executor.submit(1, job("compute"))
    assert executor.next_result() is None
    assert executor.pending == 0
    executor.submit(2, job("compute"))
    assert executor.next_result() is None


def test_a_job_that_ended_by_itself_leaves_the_next_ones():
    text = answer(to_json(job("until_stopped")), run, report=lambda line: None, should_stop=lambda: True)
    assert open_reply(text) is None
    with InProcess(runner=RUNNER) as executor:
        executor.submit(0, job("compute"))
        assert executor.next_result()[0] == 0


def test_replies_keep_results_whole():
    text = answer(to_json(job("compute", fold=3)), run, report=print, should_stop=bool)
    value = open_reply(text)
    assert value.fold_name == "fold3"
    assert value.losses[0].value == 0.1 + 0.2
    assert value.measurements[0].value == value.best_value
    assert to_json(value) == json.loads(text)["result"]


def test_threads_are_set_for_loaded_libraries_and_for_later_ones():
    with InProcess(runner=RUNNER) as executor:
        for threads in (2, 1):
            executor.submit(threads, job("threads", threads_per_run=threads))
        results = dict(drain(executor))
    assert results[1].environment["omp"] == "1"
    assert set(results[1].environment["blas"]) == {1}
    assert results[2].environment["omp"] == "2"


def test_a_failed_evaluation_is_an_evaluation():
    evaluation = EvaluateJob({}, (), ("test",), ("separate",), Places("data", "cache"))
    assert failed(evaluation, Failure("error", "x")) == EvaluateResult(failure=Failure("error", "x"))
    assert failed(job("compute"), Failure("error", "x")).failure == Failure("error", "x")


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_run_job_dispatches_on_the_kind_of_job(kind, monkeypatch):
    seen = []

    class Stand:
        @staticmethod
        def train_fold(job, *, report, should_stop):
            seen.append(("train", report, should_stop))
            return result(job)

        @staticmethod
        def evaluate_models(job, *, report, should_stop):
            seen.append(("evaluate", report, should_stop))
            return EvaluateResult(seconds=1.0)

    monkeypatch.setitem(sys.modules, "powerbench.training", Stand)
    monkeypatch.setitem(sys.modules, "powerbench.evaluation", Stand)
    if kind == "train":
        assert run_job(job("any"), report=print, should_stop=bool).fold_name == "fold0"
        assert seen == [("train", print, bool)]
    else:
        evaluation = EvaluateJob({}, (), ("test",), ("separate",), Places("data", "cache"))
        assert run_job(evaluation, report=print, should_stop=bool) == EvaluateResult(seconds=1.0)
        assert seen == [("evaluate", print, bool)]


def test_runners_are_found_by_name():
    assert find_runner("job_runners:run") is run
    assert find_runner("powerbench.execution.running:run_job") is run_job


def test_the_executor_follows_from_workers_and_devices():
    with open_executor() as executor:
        assert isinstance(executor, InProcess)
    with open_executor(workers=3) as executor:
        assert isinstance(executor, WorkerProcesses)
        assert executor.slots == 3
    with open_executor(devices=["0", "1"]) as executor:
        assert executor.slots == 2
    with open_executor(devices=["0"]) as executor:
        assert isinstance(executor, WorkerProcesses)
        assert executor.slots == 1
