"""Bringing a database to the newest schema: with a backup before and checks after, or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from powerbench.errors import PowerbenchError, UserError
from powerbench.store.tables import metadata

_VERSIONS = "alembic_version"


@dataclass(frozen=True)
class Revisions:
    """The newest revision and the Alembic folder that leads to it."""

    head: str
    folder: Path


SHIPPED = Revisions("0001", Path(__file__).parent / "migrations")


def stored_revision(connection: Connection) -> str | None:
    """The revision a database is at; ``None`` for an empty one.

    Raises :class:`UserError` for a database that holds something else.
    """
    tables = inspect(connection).get_table_names()
    if _VERSIONS not in tables:
        if tables:
            raise UserError(f"{connection.engine.url.database} is a database, but not a results store of powerbench.")
        return None
    return connection.execute(text(f"SELECT version_num FROM {_VERSIONS}")).scalar()


def bring_up_to_date(connection: Connection, revisions: Revisions, path: Path | None = None) -> None:
    """Create or upgrade the schema in one transaction.

    ``connection`` has foreign keys off (rebuilding a parent table would delete its children otherwise) and no
    open transaction. A SQLite file (``path``) that holds an older schema is copied to
    ``<path>.backup-<revision>`` first; its foreign keys and row counts are compared before the commit.
    Raises :class:`UserError` if the schema is newer than this program.
    """
    connection = connection.execution_options(write=True)
    with connection.begin():
        if connection.dialect.name == "postgresql":  # one at a time; SQLite files are guarded by a file lock
            connection.execute(text("SELECT pg_advisory_xact_lock(7064626)"))
        before = stored_revision(connection)
        if before == revisions.head:
            return
        if before is None:
            _create(connection, revisions)
            return
        _refuse_newer(before, revisions, connection)
        backup = _back_up(path, before) if path else None
        counts = _row_counts(connection)
        _upgrade(connection, revisions)
        _check(connection, counts, backup)


def _create(connection: Connection, revisions: Revisions) -> None:
    """The tables that all shipped revisions lead to, without the time that importing Alembic takes."""
    if revisions != SHIPPED:
        _upgrade(connection, revisions)
        return
    metadata.create_all(connection)
    key = f"CONSTRAINT {_VERSIONS}_pkc PRIMARY KEY (version_num)"
    connection.execute(text(f"CREATE TABLE {_VERSIONS} (version_num VARCHAR(32) NOT NULL, {key})"))
    connection.execute(text(f"INSERT INTO {_VERSIONS} VALUES (:head)"), {"head": revisions.head})


def _upgrade(connection: Connection, revisions: Revisions) -> None:
    from alembic import command

    config = _config(revisions)
    config.attributes["connection"] = connection
    command.upgrade(config, revisions.head)


def _config(revisions: Revisions):  # type: ignore[no-untyped-def]
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(revisions.folder).replace("%", "%%"))
    return config


def _refuse_newer(revision: str, revisions: Revisions, connection: Connection) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(_config(revisions)).walk_revisions()}
    if revision not in known:
        raise UserError(
            f"The results store {connection.engine.url.database} was written by a newer powerbench (its schema is "
            f"{revision}, the newest known here is {revisions.head}). Nothing was changed; update powerbench to use it."
        )


def _back_up(path: Path, revision: str) -> Path:
    """A whole copy beside the file, under a name that is free."""
    backup, number = path.with_name(f"{path.name}.backup-{revision}"), 1
    while backup.exists():
        number += 1
        backup = path.with_name(f"{path.name}.backup-{revision}-{number}")
    unfinished = backup.with_name(f".{backup.name}.tmp")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
        source.backup(target)
    unfinished.rename(backup)
    return backup


def _row_counts(connection: Connection) -> dict[str, int]:
    names = [name for name in inspect(connection).get_table_names() if name != _VERSIONS]
    return {name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in names}


def _check(connection: Connection, before: dict[str, int], backup: Path | None) -> None:
    faults = []
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        faults += [f"{len(broken)} references lead nowhere"] if broken else []
    after = _row_counts(connection)
    changed = [name for name in before if name in after and before[name] != after[name]]
    faults += [f"table {name} had {before[name]} rows and would have {after[name]}" for name in changed]
    if faults:
        raise PowerbenchError(
            f"Upgrading the results store was undone: {'; '.join(faults)}. It is as it was before"
            + (f"; a copy is in {backup}." if backup else ".")
        )
