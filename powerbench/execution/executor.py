"""What every executor does, and which one is used."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from types import TracebackType
from typing import Protocol, Self

from powerbench.jobs import Job, Result

OnReport = Callable[[Hashable, str], None]
"""Called in the driver with a job's key and a line of progress or log from it."""


class Executor(Protocol):
    """Takes jobs under keys of the caller's choice and gives their results, each once.

    A job that ran out of memory, or whose worker died, is tried once more before its failure is given.
    A driver uses an executor from one thread; only ``stop`` may be called from a signal handler.
    """

    @property
    def slots(self) -> int:
        """How many jobs run at a time."""

    @property
    def pending(self) -> int:
        """How many jobs were submitted and have neither given a result nor been dropped by ``stop``."""

    def submit(self, key: Hashable, job: Job) -> None:
        """Queue a job; jobs start in the order of submission. After ``stop`` it is dropped."""

    def next_result(self, timeout: float | None = None) -> tuple[Hashable, Result] | None:
        """The next finished job; None if none is pending or, after ``timeout`` seconds, none has finished.

        Raises the UserError (or PowerbenchError) that a job raised.
        """

    def stop(self) -> None:
        """Drop the waiting jobs and ask the running ones to end soon.

        Call ``next_result`` until nothing is pending: a job that finishes all the same gives its
        result, one that was stopped gives none.
        """

    def close(self) -> None:
        """End at once, whatever is running. Leaving a ``with`` block does so too."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def open_executor(*, workers: int = 1, devices: Sequence[str] = (), on_report: OnReport | None = None) -> Executor:
    """An executor with as many slots as ``workers``, or as ``devices`` (GPU numbers, given out in turn) if more.

    One slot and no devices means this process itself; anything else means worker processes.
    """
    from powerbench.execution.in_process import InProcess
    from powerbench.execution.worker_processes import WorkerProcesses

    slots = max(workers, len(devices))
    if slots == 1 and not devices:
        return InProcess(on_report=on_report)
    return WorkerProcesses(slots, devices=devices, on_report=on_report)
