"""A worker process as its driver sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from powerbench.jobs import PINNED_TO, Job, to_json


@dataclass(frozen=True)
class Task:
    """A job under its key. ``alone``: nothing else may run beside it."""

    key: Hashable
    job: Job
    attempt: int = 1
    alone: bool = False


class WorkerHandle:
    """Starts a worker, talks to it, buries it. ``slot`` is its place among the pool's workers."""

    def __init__(self, slot: int, *, device: str | None, runner: str, lifeline: int) -> None:
        self.slot = slot
        self.task: Task | None = None
        self.connection, theirs = Pipe()
        arguments = [str(theirs.fileno()), str(lifeline), runner]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "powerbench.execution.worker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=2,
            pass_fds=(theirs.fileno(), lifeline),
            start_new_session=True,
            env=_environment(device),
        )
        theirs.close()

    def start(self, task: Task) -> None:
        """Send a job. If the worker is dead, reading from its connection will tell."""
        self.task = task
        self._send(job=to_json(task.job))

    def ask_to_stop(self) -> None:
        """Ask the running job to end soon."""
        self._send(stop=True)

    def read(self) -> dict[str, Any]:
        """The worker's next message. Raises EOFError or OSError if it is dead."""
        message: dict[str, Any] = json.loads(self.connection.recv_bytes())
        return message

    def dismiss(self) -> None:
        """Let an idle worker end by itself; a busy one is left alone."""
        self.connection.close()

    def bury(self, *, patience: float = 0.0) -> str:
        """Wait ``patience`` seconds for the worker to end, or kill it, and say how it ended.

        Its guard kills what it leaves behind.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._process.kill()
        status = self._process.wait()
        self.connection.close()
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"exited with status {status}"

    def _send(self, **message: object) -> None:
        with suppress(OSError):
            self.connection.send_bytes(json.dumps(message).encode())


def _environment(device: str | None) -> dict[str, str]:
    """The worker's environment: it imports from where this process does and sees one GPU if pinned to it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    if device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = _among_visible(device)
        environment[PINNED_TO] = device
    return environment


def _among_visible(device: str) -> str:
    """GPU ``device``, counted among those that this process may see."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible[int(device)] if device.isdigit() and int(device) < len(visible) else device
