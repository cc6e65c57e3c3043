"""The connection to the database: pragmas, short transactions, and errors a person can read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, NoSuchModuleError
from sqlalchemy.pool import NullPool, StaticPool

from powerbench.errors import PowerbenchError, UserError
from powerbench.files import file_lock
from powerbench.store.filesystem import is_shared
from powerbench.store.migrating import SHIPPED, Revisions, bring_up_to_date, stored_revision

BUSY_SECONDS = 60
"""How long a writer waits for another one."""

_log = logging.getLogger(__name__)


class Database:
    """An open, up-to-date database. Within a process one transaction runs at a time; many processes may write."""

    def __init__(self, url: URL, *, create: bool = True, revisions: Revisions = SHIPPED) -> None:
        self.url = url
        self._turn = threading.RLock()
        memory = url.database in (None, "", ":memory:")
        self.path = None if memory or url.get_backend_name() != "sqlite" else Path(str(url.database))
        if self.path is not None:
            _check_place(self.path, create=create)
        self._engine = _engine(url)
        try:
            with self._errors_explained():
                self._prepare(revisions)
        except BaseException:
            self.close()
            raise

    def _prepare(self, revisions: Revisions) -> None:
        if self.path is None:
            with self._engine.connect() as connection:
                bring_up_to_date(connection, revisions)
            return
        journal = "delete" if is_shared(self.path.parent) else "wal"
        with self._engine.connect() as connection:
            if stored_revision(connection) == revisions.head and _journal_mode(connection) == journal:
                return
        if journal == "delete":
            _log.warning(
                "%s lies on a file system shared between hosts, where SQLite's write-ahead log is unsafe: the slower "
                "rollback journal is used. Many writers are better served by PostgreSQL (--results_db).",
                self.path,
            )
        self._engine.dispose()
        migrating = _engine(self.url, foreign_keys=False)
        with file_lock(self.path.with_name(f".{self.path.name}.lock")), migrating.connect() as connection:
            bring_up_to_date(connection, revisions, self.path)
            if _journal_mode(connection) != journal:
                _journal_mode(connection, journal)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one consistent state and changes nothing."""
        with self._turn, self._errors_explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that has the right to write from its start on, so that it never fails half-way for a lock."""
        engine = self._engine.execution_options(write=True)
        with self._turn, self._errors_explained(), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DatabaseError as error:
            place = self.path or self.url.render_as_string(hide_password=True)
            if "not a database" in str(error.orig):
                raise UserError(f"{place} is not a SQLite database.") from error
            raise PowerbenchError(
                f"The results store {place}: {error.orig}. Nothing of this step was recorded, nothing recorded before "
                "is lost; once the cause is removed, the same command goes on."
            ) from error


def parse_url(place: str | Path) -> URL:
    """The URL of a store named by a database URL or by the path of a SQLite file."""
    text = str(place)
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        return make_url(text)
    except ArgumentError as error:
        raise UserError(f"{text!r} is not a database URL like postgresql://user@host/name.") from error


def _check_place(path: Path, *, create: bool) -> None:
    if path.is_dir():
        raise UserError(f"{path} is a folder; the results store is a file.")
    if path.exists():
        return
    if not create:
        raise UserError(f"There is no results store at {path}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The results store cannot be created at {path}: {error.strerror}.") from error


def _engine(url: URL, *, foreign_keys: bool = True) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}} if sqlite else {}
    if sqlite and url.database in (None, "", ":memory:"):
        options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    elif not foreign_keys:
        options["poolclass"] = NullPool
    try:
        engine = create_engine(url, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise UserError(f"The database URL needs a driver that is not installed: {error}.") from error
    if sqlite:
        event.listen(engine, "connect", _on_connect_with_keys if foreign_keys else _on_connect)
        event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _: object) -> None:
    connection.isolation_level = None  # BEGIN is ours, not the driver's
    connection.execute("PRAGMA synchronous=FULL")


def _on_connect_with_keys(connection: Any, record: object) -> None:
    _on_connect(connection, record)
    connection.execute("PRAGMA foreign_keys=ON")


def _on_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _journal_mode(connection: Connection, wanted: str | None = None) -> str:
    """The journal mode of a SQLite file, after setting it if asked; outside of transactions, where alone it can be."""
    raw = connection.connection.driver_connection
    assert raw is not None
    return str(raw.execute("PRAGMA journal_mode" + (f"={wanted}" if wanted else "")).fetchone()[0]).lower()
