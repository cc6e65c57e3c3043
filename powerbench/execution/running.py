"""Runs one job and puts whatever comes of it into a text. Every executor runs jobs through ``answer``."""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import sys
import traceback
from collections.abc import Callable
from typing import Protocol, cast

from powerbench.errors import PowerbenchError, Stopped, UserError, file_system_error
from powerbench.jobs import (
    EvaluateResult,
    Failure,
    FailureKind,
    Job,
    Result,
    TrainJob,
    TrainResult,
    job_from_json,
    result_from_json,
    to_json,
)
from powerbench.starting import end_of_start

RUNNER = "powerbench.execution.running:run_job"


class Runner(Protocol):
    """What does the work of a job. Raises Stopped if it ended early because ``should_stop()`` was true."""

    def __call__(self, job: Job, *, report: Callable[[str], None], should_stop: Callable[[], bool]) -> Result:
        """Do the work; ``report`` takes lines of progress."""


def run_job(job: Job, *, report: Callable[[str], None], should_stop: Callable[[], bool]) -> Result:
    """Train or evaluate, as the job says; the first report is that it started."""
    report("started")
    if isinstance(job, TrainJob):
        from powerbench.training import train_fold

        end_of_start()
        return train_fold(job, report=report, should_stop=should_stop)
    from powerbench.evaluation import evaluate_models

    end_of_start()
    return evaluate_models(job, report=report, should_stop=should_stop)


def find_runner(name: str) -> Runner:
    """The function that ``module:function`` names."""
    module, function = name.split(":")
    return cast(Runner, getattr(importlib.import_module(module), function))


def answer(text: str, runner: Runner, *, report: Callable[[str], None], should_stop: Callable[[], bool]) -> str:
    """Run the job in ``text`` and give a reply for :func:`open_reply`.

    An exception that the runner let through becomes a failure of this job, with its traceback, so that
    one bad setting of a search does not end the search. Errors of the file system (a full disk) are
    no fault of the job: they reach the driver as a PowerbenchError.
    """
    job = job_from_json(text)
    limit_threads(int(job.config.get("threads_per_run", 1)))
    try:
        return json.dumps({"result": to_json(runner(job, report=report, should_stop=should_stop))})
    except Stopped:
        return json.dumps({"stopped": True})
    except UserError as error:
        return json.dumps({"user_error": {"what": error.what, "where": error.where, "near": error.near}})
    except PowerbenchError as error:
        return json.dumps({"error": str(error)})
    except OSError as error:
        return json.dumps({"error": str(file_system_error(error))})
    except Exception as error:
        kind: FailureKind = "out_of_memory" if isinstance(error, MemoryError) else "error"
        failure = Failure(kind, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        return json.dumps({"result": to_json(failed(job, failure))})
    finally:
        free_gpu_memory()


def open_reply(text: str) -> Result | None:
    """The result in a reply; None if the job was stopped. Raises the UserError or PowerbenchError it carries."""
    reply = json.loads(text)
    if "user_error" in reply:
        raise UserError(**reply["user_error"])
    if "error" in reply:
        raise PowerbenchError(reply["error"])
    return result_from_json(reply["result"]) if "result" in reply else None


def failed(job: Job, failure: Failure) -> Result:
    """The result of a job that gave none."""
    if not isinstance(job, TrainJob):
        return EvaluateResult(failure=failure)
    return TrainResult(
        fold_name="",
        split_checksum="",
        best_epoch=0,
        best_value=math.nan,
        epochs=0,
        iterations=0,
        seconds=0.0,
        model_seconds=0.0,
        measurements=(),
        losses=(),
        environment={},
        failure=failure,
    )


def limit_threads(threads: int) -> None:
    """Use ``threads`` threads in this process, in the libraries loaded already and in those loaded later.

    The number of threads changes the last bits of sums, so it belongs to a run and not to the machine.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    threadpool_limits(threads)


def stop_loaders() -> None:
    """End the processes that still wait to make batches for a job."""
    if lending := sys.modules.get("powerbench.data.lending"):
        lending.stop_waiting()


def free_gpu_memory() -> None:
    """Give cached GPU memory back to the device, where another process may need it."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
