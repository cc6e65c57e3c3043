"""Deletion: asked for, complete, finished after a crash, and never of something that is at work."""

import io
import shutil
import sys

import pytest

from powerbench.cli import main
from powerbench.store.store import Store
from tests.commands.stored import make_root, store_of
from tests.commands.test_status import leave_behind


@pytest.fixture(name="original", scope="module")
def _original(tmp_path_factory):
    return make_root(
        tmp_path_factory.mktemp("original"), {"mine": 0.0, "kept": 0.1}, trials=1, reproductions=2, folds=1
    )


@pytest.fixture(name="root")
def _root(original, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no_user_file"))
    return shutil.copytree(original, tmp_path / "root")


def delete(root, *words):
    return main(["delete", *words, "--root_experiment_folder", str(root)])


def names(root):
    with store_of(root) as store:
        return [row.name for row in store.experiments()]


def untouched(root):
    return names(root) == ["mine", "kept"] and (root / "mine" / "record.json").is_file()


def gone(root):
    return names(root) == ["kept"] and {path.name for path in root.iterdir() if path.is_dir()} == {"kept"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_rows_and_files_go_and_nothing_else(root, capsys):
    assert delete(root, "mine", "--yes") == 0
    out = capsys.readouterr().out
    assert "deleted mine: rows: " in out
    assert "3 trials" in out
    assert "files: 2 (" in out
    assert gone(root)
    with store_of(root) as store:
        kept = store.experiment("kept")
        assert len(store.trials(kept.id)) == 3
        assert store.environments(kept.id)


def test_without_a_terminal_it_must_be_confirmed(root, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("mine\n"))
    assert delete(root, "mine") == 2
    assert "--yes" in capsys.readouterr().err
    assert untouched(root)


@pytest.mark.parametrize(("typed", "status"), [("mine\n", 0), ("yes\n", 2), ("", 2)])
def test_on_a_terminal_the_name_must_be_typed(root, monkeypatch, typed, status, capsys):
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert delete(root, "mine") == status
    assert str(root / "mine") in capsys.readouterr().out
    assert gone(root) if status == 0 else untouched(root)


def test_a_living_driver_is_left_alone(root, capsys):
    with store_of(root) as store, store.lease(store.experiment("mine").id, root / "mine"):
        assert delete(root, "mine", "--yes") == 2
        assert "stop it first" in capsys.readouterr().err
    assert untouched(root)


def test_a_dead_driver_is_no_hindrance(root):
    with store_of(root) as store:
        store.acquire_lease(store.experiment("mine").id)._stop.set()
    leave_behind(root)
    assert delete(root, "mine", "--yes") == 0
    assert gone(root)


def test_an_interrupted_deletion_is_finished_by_the_same_command(root, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Store, "delete_experiment", interrupted)
        assert delete(root, "mine", "--yes") == 3
    assert not (root / "mine").exists()
    assert names(root) == ["mine", "kept"]
    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", interrupted)
        assert delete(root, "mine", "--yes") == 3
    assert delete(root, "mine", "--yes") == 0
    assert "files: 2 (" in capsys.readouterr().out
    assert gone(root)
    assert delete(root, "mine", "--yes") == 2


def test_files_that_cannot_be_removed_are_named_and_removed_later(root, monkeypatch, capsys):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder / "record.json"))

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", refuse)
        assert delete(root, "mine", "--yes") == 1
    message = capsys.readouterr().err
    assert "Permission denied" in message
    assert "the same command" in message
    assert names(root) == ["kept"]
    assert delete(root, "mine", "--yes") == 0
    assert "rows: none left; files: 2" in capsys.readouterr().out
    assert gone(root)


def test_what_a_linked_folder_leads_to_is_not_deleted(root, tmp_path):
    (root / "mine").rename(tmp_path / "elsewhere")
    (root / "mine").symlink_to(tmp_path / "elsewhere")
    assert delete(root, "mine", "--yes") == 0
    assert gone(root)
    assert (tmp_path / "elsewhere" / "record.json").is_file()


def test_files_under_another_root_are_not_forgotten(original, tmp_path, capsys):
    words = ["--yes", "--results_db", str(original / "results.sqlite")]
    assert main(["delete", "mine", *words, "--root_experiment_folder", str(tmp_path / "other")]) == 2
    assert f"--root_experiment_folder {original}" in capsys.readouterr().err
    assert untouched(original)


@pytest.mark.parametrize(
    ("words", "expected"), [(["mien"], "Did you mean mine?"), (["../x"], "cannot name"), ([], "one experiment")]
)
def test_mistakes_are_named(root, words, expected, capsys):
    assert delete(root, *words, "--yes") == 2
    assert expected in capsys.readouterr().err
    assert untouched(root)
