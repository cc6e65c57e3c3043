"""What jobs do in these tests, by the ``action`` in their config; runs in worker processes too."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from powerbench.errors import PowerbenchError, Stopped, UserError
from powerbench.jobs import Failure, LossValue, Measurement, Places, TrainJob, TrainResult


def job(action: str, *, fold: int = 0, folder: str = "", **config) -> TrainJob:
    return TrainJob({"action": action, **config}, fold, 5, folder, Places("data", "cache"))


def run(job, *, report, should_stop):
    return ACTIONS[job.config["action"]](job, report, should_stop)


def result(job, value=0.0, failure=None, **environment) -> TrainResult:
    return TrainResult(
        fold_name=f"fold{job.fold}",
        split_checksum="abc",
        best_epoch=1,
        best_value=value,
        epochs=2,
        iterations=20,
        seconds=0.1,
        model_seconds=0.05,
        measurements=(Measurement("val", 1, "trained", "map_at_r", value),),
        losses=(LossValue(1, "metric_loss", 0.1 + 0.2),),
        environment={"pid": os.getpid(), **environment},
        failure=failure,
    )


def attempts(job) -> int:
    """How often this job was started, this time included: counted in a file."""
    with open(Path(job.folder) / f"attempts{job.fold}", "a+") as file:
        file.write(".")
        file.seek(0)
        return len(file.read())


def compute(job, report, should_stop):
    import numpy as np

    values = np.random.default_rng(job.seed + job.fold).normal(size=(200, 200))
    return result(job, float(np.sqrt(np.abs(values @ values)).sum()), config=dict(job.config))


def sleep(job, report, should_stop):
    start = time.time()
    time.sleep(job.config["seconds"])
    return result(job, span=[start, time.time()])


def until_stopped(job, report, should_stop):
    report("waiting")
    while not should_stop():
        time.sleep(0.02)
    raise Stopped("stopped by request")


def finish_when_stopped(job, report, should_stop):
    while not should_stop():
        time.sleep(0.02)
    return result(job)


def die(job, report, should_stop):
    if attempts(job) <= job.config["times"]:
        os.kill(os.getpid(), getattr(signal, job.config["signal"]))
        time.sleep(60)
    return result(job, span=[time.time(), time.time()])


def leave(job, report, should_stop):
    os._exit(7)


def out_of_memory(job, report, should_stop):
    start, attempt = time.time(), attempts(job)
    time.sleep(0.2)
    if attempt <= job.config["times"]:
        return result(job, failure=Failure("out_of_memory", "no memory"))
    return result(job, attempt=attempt, span=[start, time.time()])


def want_memory(job, report, should_stop):
    raise MemoryError("too much")


def mistake(job, report, should_stop):
    raise UserError("no such loss: ContrastivLoss.", where="loss.yaml: loss_funcs", near=["ContrastiveLoss"])


def breakdown(job, report, should_stop):
    raise PowerbenchError("the disk is full")


def full_disk(job, report, should_stop):
    raise OSError(28, "No space left on device", "checkpoint.pth")


def ended_by_a_cluster(job, report, should_stop):
    """The worker outlives the signals; a process it forked does not."""
    child = os.fork()
    if child == 0:
        time.sleep(5)
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        os.kill(os.getpid(), number)
    time.sleep(0.3)
    os.kill(child, signal.SIGTERM)
    return result(job, child=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def killed_when_stopped(job, report, should_stop):
    report("waiting")
    while not should_stop():
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


def bug(job, report, should_stop):
    return {}["missing"]


def talk(job, report, should_stop):
    report("epoch 1")
    logging.getLogger("powerbench.training").info("checkpoint written")
    logging.getLogger("powerbench.training").warning("checkpoint torn")
    logging.getLogger("elsewhere").info("not shown")
    return result(job)


def threads(job, report, should_stop):
    from threadpoolctl import threadpool_info

    if job.config.get("torch"):
        import torch

        return result(job, torch=torch.get_num_threads())
    import numpy as np

    np.ones((2, 2)) @ np.ones((2, 2))
    return result(
        job, blas=[library["num_threads"] for library in threadpool_info()], omp=os.environ["OMP_NUM_THREADS"]
    )


def environment(job, report, should_stop):
    time.sleep(0.2)
    return result(job, cuda=os.environ.get("CUDA_VISIBLE_DEVICES"))


def main_module(job, report, should_stop):
    return result(job, main=str(getattr(sys.modules["__main__"], "__file__", "")))


def busy_in_native_code(job, report, should_stop):
    """Starts two children and then holds the interpreter's lock in C for a minute."""
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(job.folder, f"busy{job.fold}").write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(60)
    return result(job)


ACTIONS = {
    function.__name__: function
    for function in (
        compute, sleep, until_stopped, finish_when_stopped, die, leave, out_of_memory, want_memory, mistake,
        breakdown, full_disk, ended_by_a_cluster, killed_when_stopped, bug, talk,
        threads, environment, main_module, busy_in_native_code,
    )
}  # fmt: skip
