"""Kills a worker and everything it started as soon as its driver is gone.

The guard is a process of its own, because a thread of the worker could not act while the worker
is inside native code that holds the interpreter's lock.
"""

from __future__ import annotations

import os
import select
import signal

POLL_SECONDS = 0.2


def start_guard(lifeline: int, *, close: int) -> None:
    """Fork a guard for the calling process, which must lead its process group and ignore signals to end.

    ``lifeline`` is the read end of a pipe whose only write end the driver holds; ``close`` is a file
    descriptor the guard must not keep open. When the driver or the worker ends, whatever is left of
    the group is killed, the guard with it.
    """
    worker = os.getpid()
    if os.fork() == 0:
        os.close(close)
        _watch(lifeline, worker)


def _watch(lifeline: int, worker: int) -> None:
    while os.getppid() == worker:
        readable, _, _ = select.select([lifeline], [], [], POLL_SECONDS)
        if readable:
            break
    os.killpg(0, signal.SIGKILL)
