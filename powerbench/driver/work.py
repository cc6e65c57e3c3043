"""What runs the jobs of a command, and whether it was asked to stop."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

from powerbench.driver.stopping import Stop, stop_on_signals
from powerbench.execution import Executor, open_executor
from powerbench.execution.executor import OnReport
from powerbench.jobs import Job, Result


class Work:
    """An executor whose results are asked for until a stop takes effect.

    Whoever wants the lines that running jobs report sets ``on_report``.
    """

    def __init__(self, executor: Executor, stop: Stop) -> None:
        self.executor, self.stop = executor, stop
        self.on_report: OnReport = lambda key, text: None

    def submit(self, key: Hashable, job: Job) -> None:
        """Queue a job."""
        self.executor.submit(key, job)

    def next_result(self) -> tuple[Hashable, Result] | None:
        """The next result, or ``None`` after about a second; raises :class:`Stopped` once all has come to rest."""
        received = self.executor.next_result(timeout=1.0)
        if received is None:
            self.stop.check(self.executor)
        return received


@contextmanager
def open_work(workers: int, devices: Sequence[str], stop_after: float | None) -> Iterator[Work]:
    """Start the executor and watch for stop requests until the block ends."""

    def pass_on(key: Hashable, text: str) -> None:
        work.on_report(key, text)

    with (
        open_executor(workers=workers, devices=devices, on_report=pass_on) as executor,
        stop_on_signals(executor, stop_after) as stop,
    ):
        work = Work(executor, stop)
        yield work
