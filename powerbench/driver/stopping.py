"""A clean stop: signals and ``--stop_after`` ask the running jobs to end, and the command says how to go on."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from powerbench.console import complain
from powerbench.errors import Stopped, UserError
from powerbench.execution import Executor

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
GRACE_SECONDS = 5.0
"""How long running jobs may take to come to rest. One that is importing or computing features looks up too late."""
_UNITS = {"h": 3600, "m": 60, "s": 1}


class Stop:
    """Whether a stop was asked for, and by what."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def check(self, executor: Executor) -> None:
        """Raise :class:`Stopped` once a stop was asked for and nothing runs any more."""
        if self.reason is not None and not executor.pending:
            raise Stopped(f"stopped ({self.reason}); nothing finished is lost, the same command continues.")


@contextmanager
def stop_on_signals(executor: Executor, after_seconds: float | None = None) -> Iterator[Stop]:
    """Turn SIGINT, SIGTERM, SIGUSR1 and the passing of time into a clean stop.

    A second signal, or jobs that run on for GRACE_SECONDS, end it at once by a KeyboardInterrupt.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.reason is not None:
            raise KeyboardInterrupt
        stop.reason = "its time is over" if number == signal.SIGALRM else signal.Signals(number).name
        complain("stopping: running fold runs end at their next step; once more to end at once.")
        executor.stop()
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)

    before = {number: signal.signal(number, handle) for number in (*SIGNALS, signal.SIGALRM)}
    if after_seconds is not None:
        signal.setitimer(signal.ITIMER_REAL, after_seconds)
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def parse_duration(text: str) -> float:
    """Seconds of ``11h30m``, ``45m``, ``90s`` or plain ``3600``."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    numbers = parts.groups(default="0") if parts else ()
    seconds = sum(int(number) * unit for number, unit in zip(numbers, _UNITS.values(), strict=False))
    if seconds == 0:
        raise UserError(f"--stop_after takes a time like 11h30m, 45m or 90s, not {text!r}.")
    return float(seconds)
