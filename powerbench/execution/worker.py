"""The main program of a worker process: reads jobs from a pipe, one at a time, and writes replies.

Messages are JSON. To the worker: ``{"job": text}`` and ``{"stop": true}``; from it:
``{"report": text}`` and ``{"reply": text}``. The worker ends when the pipe does.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import signal
import sys
from multiprocessing.connection import Connection
from threading import Lock
from types import FrameType

from powerbench.ending import end_process
from powerbench.execution.guard import start_guard
from powerbench.execution.running import Runner, answer, find_runner
from powerbench.starting import start_lightly

REQUESTS_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class Channel:
    """The worker's end of the pipe to its driver."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = Lock()
        self._stopped = False

    def send(self, **message: str) -> None:
        """Send one message; may be called from any thread."""
        with self._lock:
            self._connection.send_bytes(json.dumps(message).encode())

    def next_job(self) -> str | None:
        """The text of the next job; None when the driver has closed the pipe."""
        while True:
            try:
                message = json.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                return None
            if "job" in message:
                return str(message["job"])

    def should_stop(self) -> bool:
        """Whether the driver asked to stop, or is gone. While a job runs, nothing else is sent."""
        self._stopped = self._stopped or self._connection.poll(0)
        return self._stopped


class ChannelHandler(logging.Handler):
    """Sends log lines to the driver. Processes forked from the worker must not write into its pipe."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel, self._process = channel, os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record as text; what is worse than information says so first."""
        if os.getpid() == self._process:
            level = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
            self._channel.send(report=level + self.format(record))
        elif logging.lastResort:
            logging.lastResort.handle(record)


def serve(channel: Channel, runner: Runner) -> None:
    """Run jobs until the driver closes the pipe."""
    while (text := channel.next_job()) is not None:
        reply = answer(text, runner, report=lambda line: channel.send(report=line), should_stop=channel.should_stop)
        channel.send(reply=reply)


def leave_the_end_to_the_driver() -> None:
    """Outlive the signals that a terminal or a cluster sends to all processes; forked children keep dying of them."""
    worker = os.getpid()

    def ignore_in_worker(number: int, frame: FrameType | None) -> None:
        if os.getpid() != worker:
            os._exit(128 + number)

    for number in REQUESTS_TO_END[1:]:
        signal.signal(number, ignore_in_worker)


def main() -> None:
    """Usage: ``python -m powerbench.execution.worker CONNECTION_FD LIFELINE_FD RUNNER``."""
    start_lightly()
    connection, lifeline, runner = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    for number in REQUESTS_TO_END:
        signal.signal(number, signal.SIG_IGN)
    start_guard(lifeline, close=connection)
    leave_the_end_to_the_driver()
    faulthandler.enable()
    channel = Channel(Connection(connection))
    logging.getLogger().addHandler(ChannelHandler(channel))
    logging.getLogger("powerbench").setLevel(logging.INFO)
    serve(channel, find_runner(runner))


if __name__ == "__main__":
    main()
    end_process(0)
