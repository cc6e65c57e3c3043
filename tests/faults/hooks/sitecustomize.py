"""Kills a run of the program at an exact place, from outside of its code.

Python imports this file at the start of every process whose PYTHONPATH names its folder: the driver and its
workers. It listens to Python's audit events and to the statements that SQLite runs; the program is not touched.
``POWERBENCH_TEST_FAULT`` is ``place:n``: at the n-th time that a process comes to the place, its driver gets
SIGKILL. ``POWERBENCH_TEST_LOG`` is a file to which every hit and every finished fold run is appended.
"""

import os
import signal
import sys
import time
from pathlib import Path

WRITES = {  # file name -> place: the file is half written when the process dies
    "checkpoint.pth": "checkpoint",
    "result.json": "fold result",
    "record.json": "record",
    "best_parameters.yaml": "best parameters",
    "config_models.yaml": "configs",
    "results.csv": "report",
}
STATEMENTS = {  # beginning of a statement -> place: the process dies before it is run, its transaction being open
    "CREATE TABLE runs": "store creation",
    "INSERT INTO experiments": "creating the experiment",
    "INSERT INTO leases": "taking the lease",
    "INSERT INTO measurements": "transaction",
    "INSERT INTO losses": "transaction, later",
    "INSERT INTO evaluations": "recording an evaluation",
    "INSERT INTO summaries": "summaries",
}
WRITING = os.O_WRONLY | os.O_RDWR
WORKER = "powerbench.execution.worker" in sys.orig_argv
LOG = os.environ.get("POWERBENCH_TEST_LOG", "")
PLACE, _, NUMBER = os.environ.get("POWERBENCH_TEST_FAULT", "").rpartition(":")
visits = {}


def note(text):
    descriptor = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


def visit(place, before_death=None):
    """Come to a place; the driver dies if it is the one."""
    if place != PLACE:
        return
    visits[place] = visits.get(place, 0) + 1
    if visits[place] == int(NUMBER):
        if before_death is not None:
            before_death()
        note(f"hit {place}:{NUMBER}")
        os.kill(os.getppid() if WORKER else os.getpid(), signal.SIGKILL)
        time.sleep(60)  # the guard ends this worker


def listen(event, arguments):
    """Look at one of Python's audit events."""
    if event == "os.rename":
        source, target = Path(arguments[0]), Path(arguments[1])
        if target.name in WRITES or target.suffix == ".npy":
            visit(WRITES.get(target.name, "features"), lambda: os.truncate(source, source.stat().st_size // 2))
        if target.name == "result.json" and LOG:
            note(f"finished {target.parent}")
    elif event in ("socket.connect", "socket.getaddrinfo") and LOG:
        note(f"network {arguments}")
    elif event == "os.remove" and Path(arguments[0]).name == "checkpoint.pth":
        visit("finished, not recorded")
    elif event == "os.rmdir" and Path(arguments[0]).name.startswith("search_"):
        visit("dropping weights")
    elif event == "open" and str(arguments[0]).endswith("_best.pth") and not arguments[2] & WRITING:
        visit("evaluation")


class Statements:
    """Follows the statements of one connection."""

    def __init__(self):
        self.proposed = self.committed = False

    def __call__(self, statement):
        if self.committed:  # whatever comes next: the trial is stored, and not launched
            self.proposed = self.committed = False
            visit("proposal, not launched")
        self.proposed = self.proposed or statement.startswith("INSERT INTO trials")
        self.committed = self.proposed and statement == "COMMIT"
        for beginning, place in STATEMENTS.items():
            if statement.lstrip().startswith(beginning):
                visit(place)


def connect(*arguments, **named):
    """A connection whose statements are followed."""
    connection = connect_in_silence(*arguments, **named)
    connection.set_trace_callback(Statements())
    return connection


if PLACE or LOG:
    sys.addaudithook(listen)
if PLACE and not WORKER:
    import sqlite3.dbapi2

    connect_in_silence = sqlite3.dbapi2.connect
    sqlite3.dbapi2.connect = sqlite3.connect = connect
