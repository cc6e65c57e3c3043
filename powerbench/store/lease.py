"""One driver at a time for an experiment: a lease in the store, with a heartbeat, that every write checks."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Self

from sqlalchemy import Connection, delete, insert, update

from powerbench.errors import PowerbenchError, UserError
from powerbench.store import tables
from powerbench.store.process import ProcessIdentity, is_alive, this_process
from powerbench.store.query import fetch_one
from powerbench.store.rows import LeaseRow

if TYPE_CHECKING:
    from powerbench.store.database import Database
    from powerbench.store.store import Store

STALE_SECONDS = 90.0
"""A driver on another machine counts as gone when its heartbeat is older."""
BEAT_SECONDS = 15.0

_log = logging.getLogger(__name__)
_leases = tables.leases.c


class LeaseRefused(UserError):
    """Another driver works on the experiment."""


class LeaseLost(PowerbenchError):
    """Another driver took the experiment over; this one must not write any more."""


class Lease:
    """The right to write an experiment, kept alive by a thread until :meth:`release`. A context manager."""

    def __init__(self, store: Store, experiment_id: int, token: str) -> None:
        self.experiment_id, self.token = experiment_id, token
        self._store = store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease heartbeat", daemon=True)
        self._thread.start()

    def beat(self) -> None:
        """Show that the driver lives. Raises :class:`LeaseLost` if the lease was taken over."""
        self._store.beat(self)

    def release(self) -> None:
        """Give the experiment free; harmless if it was lost or is free already."""
        self._stop.set()
        self._thread.join()
        try:
            self._store.release_lease(self)
        except PowerbenchError as error:  # it goes stale with this process
            _log.warning("The lease was not given back: %s", error)

    def _keep(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                self.beat()
            except LeaseLost:  # the next write of the driver says so
                return
            except PowerbenchError:  # a busy or full disk: the driver's own writes will say so
                continue

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def acquire(database: Database, experiment_id: int, stale_seconds: float) -> str:
    """Take the lease of an experiment, watching it first if the clocks disagree; returns its token."""

    def now() -> LeaseRow | None:
        with database.reading() as connection:
            return lease_of(connection, experiment_id)

    held, seen = now(), None
    if held and driver_lives(held, stale_seconds) is None:
        seen = held if _stays(now, held, stale_seconds) else None
    with database.writing() as connection:
        return take(connection, experiment_id, stale_seconds, seen)


def take(connection: Connection, experiment_id: int, stale_seconds: float, seen: LeaseRow | None) -> str:
    """Take the lease of an experiment and return its token.

    ``seen`` is a lease that was watched for ``stale_seconds`` without a heartbeat: it may be taken over.
    Raises :class:`LeaseRefused` while another driver lives.
    """
    held = lease_of(connection, experiment_id)
    if held is not None and held != seen and driver_lives(held, stale_seconds) is not False:
        raise LeaseRefused(_who(held))
    connection.execute(delete(tables.leases).where(_leases.experiment_id == experiment_id))
    me, token, now = this_process(), uuid.uuid4().hex, time.time()
    who = {"host": me.host, "machine": me.machine, "pid": me.pid, "process_started": me.started}
    values = {"experiment_id": experiment_id, "token": token, **who, "since": now, "heartbeat": now}
    connection.execute(insert(tables.leases).values(**values))
    return token


def check(connection: Connection, experiment_id: int, token: str) -> None:
    """Renew the heartbeat of a lease that is still ours; raises :class:`LeaseLost` if it is not."""
    mine = (_leases.experiment_id == experiment_id, _leases.token == token)
    if not connection.execute(update(tables.leases).where(*mine).values(heartbeat=time.time())).rowcount:
        raise LeaseLost(
            "Another driver took this experiment over (this one seemed dead to it). Nothing was lost: "
            "what this one had recorded is used by the other."
        )


def give_back(connection: Connection, experiment_id: int, token: str) -> None:
    """Remove a lease if it is still ours."""
    mine = (_leases.experiment_id == experiment_id, _leases.token == token)
    connection.execute(delete(tables.leases).where(*mine))


def lease_of(connection: Connection, experiment_id: int) -> LeaseRow | None:
    """The lease of an experiment, alive or stale."""
    return fetch_one(connection, LeaseRow, _leases.experiment_id == experiment_id)


def driver_lives(lease: LeaseRow, stale_seconds: float = STALE_SECONDS) -> bool | None:
    """Whether a lease's driver lives: seen directly on its own machine, judged by its heartbeat from elsewhere.

    ``None`` if a heartbeat lies in the future: the clocks disagree, so only watching it can tell.
    """
    seen = is_alive(ProcessIdentity(lease.host, lease.machine, lease.pid, lease.process_started))
    if seen is not None:
        return seen
    age = time.time() - lease.heartbeat
    return None if age < -stale_seconds else age <= stale_seconds


def _stays(read: Callable[[], LeaseRow | None], lease: LeaseRow, seconds: float) -> bool:
    """Whether a lease stays as it is for some seconds, whatever the clocks say: then its driver is gone."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(1.0, seconds / 10))
        if read() != lease:
            return False
    return True


def _who(lease: LeaseRow) -> str:
    since = datetime.fromtimestamp(lease.since).isoformat(" ", timespec="seconds")
    return (
        f"Another driver (process {lease.pid} on {lease.host}) has been working on this experiment since {since}. "
        "Wait for it, or stop it first."
    )
