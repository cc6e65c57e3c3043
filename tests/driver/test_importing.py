"""An experiment's folder without its results store, or at another place, can be used as if it had been made there."""

import shutil

import pytest

from powerbench.cli import main
from tests.driver.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(name="finished", scope="module")
def _finished(tmp_path_factory):
    """A finished experiment that is only copied."""
    world = World(tmp_path_factory.mktemp("finished"))
    assert world.run("t", reproductions=2) == 0
    return world


@pytest.fixture(name="sent")
def _sent(finished, world):
    """Its folder, without the store, under another root."""
    shutil.copytree(finished.root / "t", world.root / "t")
    return world


def test_it_is_evaluated_from_its_record_and_its_weights(sent, capsys):
    assert sent.resume("t", "--evaluate", "--splits_to_eval", "[val]") == 0
    assert "was not in the results store" in capsys.readouterr().out
    assert {row[1:5] for row in sent.rows("evaluations") if row[3] == "val"} == {
        ("reproduction", 0, "val", "separate"),
        ("reproduction", 1, "val", "separate"),
    }
    before = [row for row in sent.rows("evaluations") if row[3] == "test"]
    assert (
        sent.resume(
            "t", "--evaluate_ensemble", "--skip_ensemble_eval_if_already_done", "False", "--splits_to_eval", "[test]"
        )
        == 0
    )
    assert [row for row in sent.rows("evaluations") if row[3] == "test"] == before
    assert "was not in the results store" not in capsys.readouterr().out


def test_it_is_continued_and_not_begun_anew(finished, sent):
    assert sent.resume("t", "--reproductions", "3") == 0
    for table in ("trials", "runs", "measurements", "losses", "evaluations"):
        before, now = set(finished.rows(table)), set(sent.rows(table))
        assert before < now
        assert {row[1:3] for row in now - before} == {("reproduction", 2)}


def test_it_is_reported_by_its_path(sent, capsys):
    assert main(["report", str(sent.root / "t")]) == 0
    assert "MAP@R" in capsys.readouterr().out
    assert not (sent.root / "results.sqlite").exists()


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda folder: (folder / "record.json").write_text("{"), "not a whole record"),
        (lambda folder: folder.rename(folder.with_name("u")), "holds the experiment t, not u"),
    ],
)
def test_a_record_that_cannot_be_taken_is_refused_and_nothing_is_written(sent, capsys, break_it, says):
    break_it(sent.root / "t")
    name = "t" if (sent.root / "t").exists() else "u"
    assert sent.resume(name, "--evaluate") == 2
    assert says in capsys.readouterr().err
    assert not (sent.root / "results.sqlite").exists()


def test_a_wrong_request_imports_nothing(sent, capsys):
    assert sent.resume("t", "--evaluate", "--splits_to_eval", "[tset]") == 2
    assert not (sent.root / "results.sqlite").exists()


def test_a_root_folder_may_be_moved_with_its_store(finished, world):
    shutil.copytree(finished.root, world.root)
    assert world.resume("t", "--reproductions", "3") == 0
    assert len(world.rows("runs")) == 3 * 2


def test_to_resume_takes_an_experiment(world, capsys):
    assert world.resume("t", "--resume_training", "latest") == 2
    assert "there is no experiment t" in capsys.readouterr().err
    assert world.resume("t", "--resume_training", "newest") == 2
    assert "latest or best" in capsys.readouterr().err
    assert not world.root.exists()


def test_both_words_of_resume_training_continue_with_the_same_numbers(world, monkeypatch, capsys):
    assert world.run("t") == 0
    expected = world.everything()
    for word in ("latest", "best"):
        world.forget()
        stop_at_the_first_checkpoint(monkeypatch)
        assert world.run("t") == 3
        monkeypatch.undo()
        monkeypatch.chdir(world.folder)
        assert list(world.root.rglob("checkpoint.pth"))
        assert world.resume("t", "--resume_training", word) == 0
        assert world.everything() == expected
        assert ("the same epochs" in capsys.readouterr().err) == (word == "best")


def stop_at_the_first_checkpoint(monkeypatch):
    from powerbench.training import loop

    save = loop.save

    def save_and_die(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("powerbench.training.loop.save", save_and_die)
