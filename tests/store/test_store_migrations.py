"""Upgrades: a copy first, checks before the commit, all or nothing; newer schemas are refused."""

import shutil
import sqlite3
from contextlib import closing
from textwrap import dedent

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from store_results import evaluation, make_experiment, trained

from powerbench.errors import PowerbenchError, UserError
from powerbench.store.migrating import SHIPPED, Revisions
from powerbench.store.store import Store

HEAD = 'import sqlalchemy as sa\nfrom alembic import op\nrevision = "0002"\ndown_revision = "0001"\n'


def second_revision(folder, body):
    """The shipped migrations and one more."""
    shutil.copytree(SHIPPED.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    code = HEAD + "def upgrade():\n" + "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
    (folder / "versions" / "v0002_second.py").write_text(code)
    return Revisions("0002", folder)


@pytest.fixture
def filled(tmp_path):
    path = tmp_path / "results.sqlite"
    with Store.open(path) as store:
        experiment = make_experiment(store, tmp_path)
        trial = trained(store, experiment, "search", 0, 0.5)
        store.record_evaluation(trial.id, evaluation([0.1, 0.2]))
        store.refresh_summaries(experiment.id)
    return path


def content(path):
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in sorted(names)}


REBUILD_PARENT = """
    with op.batch_alter_table("trials", recreate="always") as batch:
        batch.add_column(sa.Column("note", sa.Text))
"""


def test_the_newest_revision_is_the_shipped_one():
    config = Config()
    config.set_main_option("script_location", str(SHIPPED.folder))
    assert ScriptDirectory.from_config(config).get_heads() == [SHIPPED.head]


def test_a_new_store_has_the_tables_that_all_revisions_lead_to(tmp_path):
    folder = tmp_path / "migrations"
    shutil.copytree(SHIPPED.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    schemas = []
    for path, revisions in ((tmp_path / "new", SHIPPED), (tmp_path / "upgraded", Revisions(SHIPPED.head, folder))):
        Store.open(path, revisions=revisions).close()
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        schemas.append({row[:2]: "".join((row[2] or "").split()) for row in rows})
    assert schemas[0] == schemas[1]
    assert content(tmp_path / "new") == content(tmp_path / "upgraded")


def test_rebuilding_a_parent_table_keeps_its_children(filled, tmp_path):
    before = content(filled)
    with Store.open(filled, revisions=second_revision(tmp_path / "migrations 100%", REBUILD_PARENT)) as store:
        trial = store.trials(1)[0]
        assert len(store.evaluations(trial.id)) == 2
        store.delete_experiment("first")
    after = content(filled)
    assert after.pop("alembic_version") == [("0002",)]
    assert not any(rows for name, rows in after.items() if name != "sqlite_sequence"), "cascades work after the rebuild"
    backup = filled.with_name("results.sqlite.backup-0001")
    assert content(backup) == before
    with Store.open(backup) as store:
        assert len(store.trials(1)) == 1


def test_an_upgrade_adds_a_column_and_keeps_every_row(filled, tmp_path):
    before = content(filled)
    Store.open(filled, revisions=second_revision(tmp_path / "migrations", REBUILD_PARENT)).close()
    after = content(filled)
    assert [row[:-1] for row in after.pop("trials")] == before.pop("trials")
    assert after.pop("alembic_version") != before.pop("alembic_version")
    assert after.pop("sqlite_sequence") != before.pop("sqlite_sequence")  # batch mode forgets a counter
    assert after == before


def test_it_is_done_once(filled, tmp_path):
    revisions = second_revision(tmp_path / "migrations", REBUILD_PARENT)
    for _ in range(2):
        Store.open(filled, revisions=revisions).close()
    assert [path.name for path in tmp_path.glob("*.backup*")] == ["results.sqlite.backup-0001"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('op.execute("DELETE FROM measurements")', "table measurements had 6 rows and would have 0"),
        ('op.execute("UPDATE runs SET trial_id = 77")', "2 references lead nowhere"),
    ],
)
def test_an_upgrade_that_loses_anything_is_undone(filled, tmp_path, body, fault):
    before = content(filled)
    with pytest.raises(PowerbenchError, match=f"undone: {fault}.*a copy is in .*backup-0001"):
        Store.open(filled, revisions=second_revision(tmp_path / "migrations", body))
    assert content(filled) == before
    with Store.open(filled) as store:
        assert len(store.trials(1)) == 1


def test_an_upgrade_that_fails_half_way_is_undone(filled, tmp_path):
    before = content(filled)
    body = 'op.add_column("trials", sa.Column("note", sa.Text))\nop.execute("UPDATE nowhere SET x = 1")'
    with pytest.raises(PowerbenchError, match="no such table: nowhere"):
        Store.open(filled, revisions=second_revision(tmp_path / "migrations", body))
    assert content(filled) == before


def test_backups_are_never_overwritten(filled, tmp_path):
    first = filled.with_name("results.sqlite.backup-0001")
    first.write_text("precious")
    Store.open(filled, revisions=second_revision(tmp_path / "migrations", REBUILD_PARENT)).close()
    assert first.read_text() == "precious"
    assert filled.with_name("results.sqlite.backup-0001-2").exists()


def test_a_newer_store_is_refused_and_left_alone(filled, tmp_path):
    Store.open(filled, revisions=second_revision(tmp_path / "migrations", REBUILD_PARENT)).close()
    before = content(filled)
    with pytest.raises(UserError, match=r"newer powerbench \(its schema is 0002, the newest known here is 0001\)"):
        Store.open(filled)
    assert content(filled) == before


def test_a_store_in_memory_is_made_by_the_migrations(tmp_path):
    with Store.in_memory() as store:
        trial = trained(store, make_experiment(store, tmp_path), "single", 0, 0.5)
        assert store.trial(trial.id).mean == 0.5
        store.delete_experiment("first")
        with store._database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 0
