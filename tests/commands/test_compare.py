"""Which experiment is better, said only where it may be said."""

import csv
import shutil

import pytest

from powerbench.cli import main
from tests.commands.stored import make_root, store_of
from tests.meta_logs.synthetic_experiments import PROTOCOL, make_experiment


@pytest.fixture(name="root", scope="module")
def _root(tmp_path_factory):
    root = make_root(tmp_path_factory.mktemp("compare"), trials=2, folds=1)
    with store_of(root) as store:
        changed = {**PROTOCOL, "trunk_weights": "random", "batch_size": 3}
        make_experiment(store, "other", trials=0, folds=1, reproductions=2, protocol=changed, fingerprint="x")
    return root


@pytest.fixture(name="compare")
def _compare(root, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no_user_file"))

    def run(*words):
        status = main(["compare", *words, "--root_experiment_folder", str(root)])
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


def test_methods_stand_best_first_with_groups_and_every_pair_has_a_verdict(compare):
    status, out, _ = compare("proxy_nca", "triplet", "contrastive")
    assert status == 0
    methods, pairs = out.split("MAP@R, separate, test: every pair")
    first = [line.split()[0] for line in methods.splitlines() if "±" in line]
    assert set(first[:2]) == {"contrastive", "triplet"}
    assert first[2] == "proxy_nca"
    groups = {line.split()[0]: line.split()[5] for line in methods.splitlines() if "(6)" in line}
    assert groups == {"contrastive": "a", "triplet": "a", "proxy_nca": "b"}
    assert pairs.count("is better") == 2
    assert pairs.count("cannot be told apart") == 1
    assert "contrastive is better" in pairs


def test_different_protocols_are_refused_and_the_keys_named(compare, tmp_path):
    status, out, err = compare("contrastive", "other", "--output", "tables")
    assert (status, out) == (2, "")
    assert "contrastive and other are not comparable" in err
    assert "trunk_weights" in err
    assert "batch_size" in err
    assert not list(tmp_path.iterdir())


def test_metrics_have_other_names_and_modes_can_be_chosen(compare):
    status, out, _ = compare(
        "contrastive", "triplet", "--metric", "[R@1, mean_average_precision_at_r]", "--mode", "concatenated"
    )
    assert status == 0
    assert "R@1, concatenated, test: methods" in out
    assert "MAP@R, concatenated, test: every pair" in out


def test_tables_are_written_in_full_precision(compare, tmp_path, root):
    assert compare("contrastive", "proxy_nca", "--output", "tables")[0] == 0
    stems = ("methods_map_at_r_separate", "pairs_map_at_r_separate")
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        f"{s}.{f}" for s in stems for f in ("csv", "md", "tex")
    }
    with open(tmp_path / "tables" / f"{stems[1]}.csv", newline="") as file:
        row = next(csv.DictReader(file))
    with store_of(root) as store:
        means = {
            name: next(
                row.mean
                for row in store.summaries(store.experiment(name).id)
                if (row.split, row.mode, row.weights, row.metric) == ("test", "separate", "trained", "map_at_r")
            )
            for name in ("contrastive", "proxy_nca")
        }
    assert float(row["Difference"]) == pytest.approx(means["contrastive"] - means["proxy_nca"], rel=1e-12)


def test_a_copied_folder_alone_can_be_compared(compare, root, tmp_path):
    shutil.copytree(root / "triplet", tmp_path / "sent")
    _, original, _ = compare("contrastive", "triplet")
    status, out, _ = compare("contrastive", "sent")
    assert status == 0
    assert out == original
    shutil.copytree(root / "triplet", tmp_path / "again")
    assert compare("sent", "again")[1].count("again") == 2  # of the same name: told apart by their places


def test_folders_under_another_root_need_no_store_and_no_path(compare, root, tmp_path, capsys):
    for name in ("triplet", "contrastive"):
        shutil.copytree(root / name, tmp_path / "elsewhere" / name)
    _, original, _ = compare("contrastive", "triplet")
    elsewhere = ["--root_experiment_folder", str(tmp_path / "elsewhere")]
    assert main(["compare", "contrastive", "triplet", *elsewhere]) == 0
    assert capsys.readouterr().out == original
    assert main(["report", "triplet", *elsewhere]) == 0
    assert "MAP@R" in capsys.readouterr().out
    assert (tmp_path / "elsewhere/triplet/meta_logs/report.html").is_file()
    assert not (tmp_path / "elsewhere/results.sqlite").exists()


def test_experiments_with_different_seeds_are_said_to_be(compare, root):
    with store_of(root) as store:
        row = store.create_experiment(
            "seed5", {}, "c", PROTOCOL, "f00d", 5, {"trials": 4, "reproductions": []}, f"{root}/s"
        )
        assert compare("contrastive", "seed5")[2].count("has no separate results on test yet")
        trial = store.add_trial(row.id, "reproduction", 0, {})
        from powerbench.jobs import EvaluateResult, SeparateValue

        value = SeparateValue(0, "test", 3, "trained", "map_at_r", 0.4)
        store.add_run(trial.id, 0, 0, "r/0")
        store.record_evaluation(trial.id, EvaluateResult((value,)))
        store.finish_trial(trial.id, 0.4, None)
        store.refresh_summaries(row.id)
    status, out, _ = compare("contrastive", "seed5")
    assert status == 0
    assert "reproductions of equal index share no seed" in out
    assert "too few reproductions to tell" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["contrastive"], "two experiments or more"),
        (["contrastive", "contrastive"], "named twice"),
        (["contrastive", "triplett"], "Did you mean triplet"),
        (["contrastive", "triplet", "--metric", "map_at_rr"], "map_at_r"),
        (["contrastive", "triplet", "--metric", "recall_at_8"], "only with map_at_r, precision_at_1, r_precision"),
        (["contrastive", "triplet", "--mode", "joined"], "separate or concatenated"),
        (["contrastive", "triplet", "--output", __file__], "is a file"),
    ],
)
def test_mistakes_are_named(compare, words, expected, tmp_path):
    status, _, err = compare(*words)
    assert status == 2
    assert expected in err
    assert not list(tmp_path.iterdir())
