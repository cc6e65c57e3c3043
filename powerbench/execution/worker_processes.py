"""The executor with a persistent pool of worker processes."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import deque
from collections.abc import Hashable, Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self, cast

from powerbench.execution.executor import OnReport
from powerbench.execution.running import RUNNER, failed, open_reply
from powerbench.execution.worker_handle import Task, WorkerHandle
from powerbench.jobs import Failure, Job, Result

POLL_SECONDS = 0.2
ATTEMPTS = 2
CLOSE_SECONDS = 1.0


class WorkerProcesses:
    """Runs ``slots`` jobs at a time, each in its own process; see :class:`powerbench.execution.Executor`.

    Workers start when they are first needed. With ``devices``, the worker in slot i sees only the GPU
    ``devices[i % len(devices)]``. A job that ran out of memory, or was killed as the system does when
    memory is short, is tried again with no other job running.
    """

    def __init__(
        self,
        slots: int,
        *,
        devices: Sequence[str] = (),
        runner: str = RUNNER,
        on_report: OnReport | None = None,
    ) -> None:
        self.slots = slots
        self._devices = tuple(devices)
        self._runner = runner
        self._on_report = on_report or (lambda key, text: None)
        self._waiting: deque[Task] = deque()
        self._workers: list[WorkerHandle] = []
        self._stopping = self._told_to_stop = False
        self._lifeline, self._hold = os.pipe()

    @property
    def pending(self) -> int:
        """How many jobs wait or run."""
        return len(self._running) + (0 if self._stopping else len(self._waiting))

    def submit(self, key: Hashable, job: Job) -> None:
        """Queue a job, and start it if a slot is free."""
        self._waiting.append(Task(key, job))
        self._start_jobs()

    def next_result(self, timeout: float | None = None) -> tuple[Hashable, Result] | None:
        """Wait for a result; workers that died meanwhile are replaced."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._start_jobs()
            if not self.pending:
                return None
            left = POLL_SECONDS if deadline is None else deadline - time.monotonic()
            connections = {worker.connection: worker for worker in self._workers}
            for connection in wait(list(connections), max(0.0, min(left, POLL_SECONDS))):
                finished = self._read(connections[cast(Connection, connection)])
                if finished is not None:
                    return finished
            if deadline is not None and time.monotonic() >= deadline:
                return None

    def stop(self) -> None:
        """Drop the waiting jobs and ask the running ones to end soon; acted upon by ``next_result``."""
        self._stopping = True

    def close(self) -> None:
        """End all workers: idle ones by themselves, busy ones by force."""
        self._waiting.clear()
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.bury(patience=0.0 if worker.task else CLOSE_SECONDS)
        self._workers.clear()
        for end in (self._lifeline, self._hold):
            if end >= 0:
                os.close(end)
        self._lifeline = self._hold = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _running(self) -> list[Task]:
        return [worker.task for worker in self._workers if worker.task]

    def _start_jobs(self) -> None:
        if self._stopping:
            self._tell_to_stop()
            return
        while self._waiting and self._may_start(self._waiting[0]):
            self._idle_worker().start(self._waiting.popleft())

    def _may_start(self, task: Task) -> bool:
        running = self._running
        if task.alone:
            return not running
        return len(running) < self.slots and not any(other.alone for other in running)

    def _idle_worker(self) -> WorkerHandle:
        for worker in self._workers:
            if worker.task is None:
                return worker
        slot = min(set(range(self.slots)) - {worker.slot for worker in self._workers})
        device = self._devices[slot % len(self._devices)] if self._devices else None
        self._workers.append(WorkerHandle(slot, device=device, runner=self._runner, lifeline=self._lifeline))
        return self._workers[-1]

    def _tell_to_stop(self) -> None:
        self._waiting.clear()
        if not self._told_to_stop:
            self._told_to_stop = True
            for worker in self._workers:
                worker.ask_to_stop()

    def _read(self, worker: WorkerHandle) -> tuple[Hashable, Result] | None:
        """Act on one message of a worker, or on its death; the result if that finished a job."""
        task = worker.task
        try:
            message = worker.read()
        except (EOFError, OSError):
            return self._after_death(worker, task)
        if task is None:
            return None
        if "report" in message:
            self._on_report(task.key, message["report"])
            return None
        worker.task = None
        result = open_reply(message["reply"])
        if result is None:
            return None
        if result.failure is not None and result.failure.kind == "out_of_memory" and self._retry(task, alone=True):
            return None
        return task.key, result

    def _after_death(self, worker: WorkerHandle, task: Task | None) -> tuple[Hashable, Result] | None:
        self._workers.remove(worker)
        end = worker.bury(patience=CLOSE_SECONDS)
        if task is None or self._stopping or self._retry(task, alone="SIGKILL" in end):
            return None
        return task.key, failed(task.job, Failure("error", f"the worker process {end}, {task.attempt} times in a row"))

    def _retry(self, task: Task, *, alone: bool) -> bool:
        """Put a job back, before all others, if it has an attempt left."""
        if task.attempt >= ATTEMPTS or self._stopping:
            return False
        self._waiting.appendleft(dataclasses.replace(task, attempt=task.attempt + 1, alone=alone))
        return True
