"""The executor without other processes: a job runs when its result is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from types import TracebackType
from typing import Self

from powerbench.execution.executor import OnReport
from powerbench.execution.running import RUNNER, answer, find_runner, open_reply, stop_loaders
from powerbench.jobs import Job, Result, to_json


class InProcess:
    """Runs one job at a time in the calling process; see :class:`powerbench.execution.Executor`.

    A timeout does not interrupt a running job.
    """

    slots = 1

    def __init__(self, *, runner: str = RUNNER, on_report: OnReport | None = None) -> None:
        self._runner = find_runner(runner)
        self._on_report = on_report or (lambda key, text: None)
        self._waiting: deque[tuple[Hashable, Job]] = deque()
        self._stopping = False

    @property
    def pending(self) -> int:
        """How many jobs wait."""
        return 0 if self._stopping else len(self._waiting)

    def submit(self, key: Hashable, job: Job) -> None:
        """Queue a job."""
        self._waiting.append((key, job))

    def next_result(self, timeout: float | None = None) -> tuple[Hashable, Result] | None:
        """Run the job that was submitted first and give its result."""
        while self.pending:
            key, job = self._waiting.popleft()
            result = self._run(key, job)
            if result is not None and result.failure is not None and result.failure.kind == "out_of_memory":
                result = self._run(key, job)
            if result is not None:
                return key, result
        return None

    def stop(self) -> None:
        """Drop the waiting jobs and ask the running one to end soon."""
        self._stopping = True

    def close(self) -> None:
        """Drop the waiting jobs, and end the processes that made batches for those that ran."""
        self._waiting.clear()
        stop_loaders()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, key: Hashable, job: Job) -> Result | None:
        reply = answer(
            to_json(job),
            self._runner,
            report=lambda text: self._on_report(key, text),
            should_stop=lambda: self._stopping,
        )
        return open_reply(reply)
