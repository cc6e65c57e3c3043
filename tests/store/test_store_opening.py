"""Opening: new, existing, foreign, newer, on shared file systems, by several at once."""

import logging
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, create_mock_engine

from powerbench.errors import PowerbenchError, UserError
from powerbench.store import database, tables
from powerbench.store.database import parse_url
from powerbench.store.filesystem import filesystem_of, is_shared
from powerbench.store.store import Store


def pragma(path, name):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_new_store_has_its_folders_its_log_and_enforced_references(tmp_path):
    path = tmp_path / "a" / "b" / "results.sqlite"
    with Store.open(path) as store, store._database.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "integrity_check") == "ok"


def test_nothing_is_created_if_only_an_existing_store_is_wanted(tmp_path):
    with pytest.raises(UserError, match="no results store"):
        Store.open(tmp_path / "a" / "results.sqlite", create=False)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "results.sqlite").touch()
    with Store.open(tmp_path / "results.sqlite") as store:
        assert store.experiments() == []


def test_places_that_cannot_hold_a_store_are_refused(tmp_path):
    (tmp_path / "file").write_text("text " * 1000)
    with pytest.raises(UserError, match="is a folder"):
        Store.open(tmp_path)
    with pytest.raises(UserError, match="cannot be created"):
        Store.open(tmp_path / "file" / "results.sqlite")
    with pytest.raises(UserError, match="not a SQLite database"):
        Store.open(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "text " * 1000


def test_another_programs_database_is_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as connection:
        connection.execute("CREATE TABLE photos (id)")
    before = (tmp_path / "other.sqlite").read_bytes()
    with pytest.raises(UserError, match="not a results store"):
        Store.open(tmp_path / "other.sqlite")
    assert (tmp_path / "other.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    ("url", "message"),
    [("nosuch://host/name", "driver that is not installed"), ("://host", "not a database URL")],
)
def test_bad_urls_are_user_errors(url, message):
    with pytest.raises(UserError, match=message):
        Store.open(url)


def test_urls_and_paths_name_the_same_store(tmp_path):
    path = tmp_path / "odd name%41#?.sqlite"
    with Store.open(path) as store:
        store.create_experiment("here", {}, "", {}, "", 0, {}, "x")
    assert path.exists()
    with Store.open(str(parse_url(path))) as store:
        assert store.experiment("here") is not None


def test_the_migrations_give_the_tables_of_the_code(store):
    engine = create_engine(store._database.url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        sql = {row.name: row.sql for row in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")}
    for table, column in [("trials", "kind"), ("runs", "state"), ("evaluations", "mode"), ("summaries", "sample")]:
        assert f"CONSTRAINT ck_{table}_{column} CHECK" in sql[table]


def test_the_tables_can_be_made_on_postgresql():
    statements = []
    engine = create_mock_engine("postgresql+psycopg://", lambda sql, *_: statements.append(sql))
    tables.metadata.create_all(engine, checkfirst=False)
    text = "\n".join(str(statement.compile(dialect=engine.dialect)) for statement in statements)
    assert text.count("CREATE TABLE") == 9
    assert "value DOUBLE PRECISION" in text or "value FLOAT(53)" in text


def test_opening_again_imports_no_alembic(tmp_path):
    Store.open(tmp_path / "results.sqlite").close()
    code = (
        "import sys\n"
        "from powerbench.store.store import Store\n"
        "Store.open(sys.argv[1]).close()\n"
        "assert 'alembic' not in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.check_call([sys.executable, "-c", code, str(tmp_path / "results.sqlite")])


@pytest.mark.slow
def test_many_first_openers_make_one_store(tmp_path):
    code = (
        "import sys, time\n"
        "from powerbench.store.store import Store\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "with Store.open(sys.argv[1]) as store:\n"
        "    store.create_experiment(sys.argv[3], {}, '', {}, '', 0, {}, '')\n"
    )
    start = str(time.time() + 3)
    command = [sys.executable, "-c", code, str(tmp_path / "results.sqlite"), start]
    processes = [subprocess.Popen([*command, f"e{i}"]) for i in range(5)]
    assert [process.wait(60) for process in processes] == [0] * 5
    with Store.open(tmp_path / "results.sqlite") as store:
        assert sorted(row.name for row in store.experiments()) == [f"e{i}" for i in range(5)]
    assert not list(tmp_path.glob("*.backup*"))


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /home rw - nfs4 server:/home rw
31 30 0:26 / /home/me/local\\040disk rw - xfs /dev/vdb rw
32 22 0:27 / /mnt/ssh rw - fuse.sshfs me@host: rw
33 22 0:28 / /mnt/ntfs rw - fuseblk /dev/sdc rw
34 22 0:29 / /mnt/win rw master:2 shared:3 - cifs //server/share rw
35 22 0:30 / /mnt/over rw - ext4 /dev/vdd rw
36 22 0:31 / /mnt/over rw - nfs server:/covers rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/data", "ext4", False),
        ("/homework", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/me/experiments", "nfs4", True),
        ("/home/me/local disk/x", "xfs", False),
        ("/mnt/ssh/x", "fuse.sshfs", True),
        ("/mnt/ntfs/x", "fuseblk", False),
        ("/mnt/win", "cifs", True),
        ("/mnt/over/x", "nfs", True),
    ],
)
def test_shared_file_systems_are_told_from_local_ones(path, kind, shared):
    assert filesystem_of(Path(path), MOUNTS) == kind
    assert is_shared(Path(path), MOUNTS) is shared


def test_this_machines_temporary_folder_has_a_known_file_system(tmp_path):
    mounts = Path("/proc/self/mountinfo").read_text()
    assert filesystem_of(tmp_path.resolve(), mounts)


def test_a_store_on_a_shared_file_system_uses_no_write_ahead_log(tmp_path, monkeypatch, caplog):
    path = tmp_path / "results.sqlite"
    Store.open(path).close()
    monkeypatch.setattr(database, "is_shared", lambda folder: True)
    with caplog.at_level(logging.WARNING), Store.open(path) as store:
        store.create_experiment("here", {}, "", {}, "", 0, {}, "x")
        assert pragma(path, "journal_mode") == "delete"
        assert not (tmp_path / "results.sqlite-wal").exists()
    assert "shared between hosts" in caplog.text
    monkeypatch.undo()
    with Store.open(path) as store:
        assert store.experiment("here") is not None
    assert pragma(path, "journal_mode") == "wal"


def test_a_locked_store_is_explained_and_loses_nothing(store, experiment, monkeypatch):
    with closing(sqlite3.connect(store._database.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with store._database._engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA busy_timeout=50")
        with pytest.raises(PowerbenchError, match=r"database is locked.*Nothing of this step was recorded"):
            store.add_trial(experiment.id, "search", 0, {})
        other.rollback()
    assert store.trials(experiment.id) == []
    store.add_trial(experiment.id, "search", 0, {})


def test_a_full_store_is_explained_and_goes_on_when_there_is_room(store, experiment):
    with store._database._engine.connect() as connection:
        raw = connection.connection.driver_connection
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(PowerbenchError, match=r"full.*the same command goes on"):
        store.add_trial(experiment.id, "search", 0, {"x": "long " * 100_000})
    with store._database._engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA max_page_count=1000000")
    count = len(store.trials(experiment.id))
    store.add_trial(experiment.id, "search", count, {})
    assert len(store.trials(experiment.id)) == count + 1


def test_a_store_that_may_not_be_written_is_explained(tmp_path, monkeypatch):
    if os.geteuid() == 0:
        monkeypatch.setattr(database.Path, "mkdir", _refuse)
    else:
        (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(UserError, match=r"cannot be created.*Permission denied"):
        Store.open(tmp_path / "closed" / "deeper" / "results.sqlite")


def _refuse(*_args, **_kwargs):
    raise PermissionError(13, "Permission denied")
