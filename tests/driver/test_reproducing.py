"""An earlier experiment is trained again from its folder, and the verdict says whether the results agree."""

import csv
import json
import shutil

import pytest
import yaml

from powerbench.cli import main
from powerbench.store.store import Store

pytestmark = pytest.mark.slow

SWAP = ["--split_manager~SWAP~1", "{MLRCSplitManager:", "{}}"]
MERGE = "--merge_argparse_when_resuming"


@pytest.fixture(name="earlier", scope="module")
def _earlier(tmp_path_factory):
    """A finished search with two reproductions that tests only look at."""
    from tests.driver.world import World

    world = World(tmp_path_factory.mktemp("earlier"))
    assert world.run("t1", trials=3, reproductions=2) == 0
    return world


def copied(earlier, world, *parts):
    """Parts of the earlier experiment's folder, somewhere else and without its store."""
    folder = world.folder / "sent" / "t1"
    folder.mkdir(parents=True)
    for part in parts:
        source = earlier.root / "t1" / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    return folder


def reproduce(world, folder, name, *more):
    """The exit status of a reproduction."""
    places = ["--root_experiment_folder", str(world.root), "--cache_dir", str(world.folder / "cache")]
    return main(["--reproduce_results", str(folder), "--experiment_name", name, *places, *more])


def by_key(world, name, table, key):
    return {row[1:key]: row[key:] for row in world.rows(table) if row[0] == name}


def test_reproductions_are_fresh_as_many_as_there_were_and_the_verdict_says_whether_they_agree(earlier, world, capsys):
    folder = copied(earlier, world, "configs", "record.json")
    assert reproduce(world, folder, "t2") == 0
    printed = capsys.readouterr().out
    assert "t2 reproduces t1 (search trial" in printed
    assert "2 reproductions (as many as it had), with new seeds" in printed
    assert "verdict: agrees with t1 in all 6 numbers" in printed or "verdict: does not agree with t1" in printed
    assert "verdict: environment: the same." in printed
    assert [row[1:4] for row in world.rows("trials")] == [("reproduction", 0, "{}"), ("reproduction", 1, "{}")]
    seeds = {row[4] for row in earlier.rows("runs")} & {row[4] for row in world.rows("runs")}
    assert not seeds
    best = max((t for t in earlier.rows("trials") if t[1] == "search"), key=lambda trial: trial[6])
    with Store.open(world.root / "results.sqlite") as store:
        config = store.experiment("t2").config
    value = next(iter(json.loads(best[3]).values()))
    assert config["config_loss_and_miners"]["loss_funcs"] == {"metric_loss": {"ContrastiveLoss": {"neg_margin": value}}}
    with open(world.root / "t2" / "meta_logs" / "verdict.csv", newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 6


def test_again_it_trains_nothing_and_says_the_same(earlier, world, capsys, monkeypatch):
    folder = copied(earlier, world, "configs", "record.json")
    assert reproduce(world, folder, "t2", "--reproductions", "1") == 0
    first, before = capsys.readouterr().out, world.everything()

    def refuse(*arguments, **named):
        raise AssertionError("trained again")

    monkeypatch.setattr("powerbench.training.train_fold", refuse)
    assert reproduce(world, folder, "t2", "--reproductions", "1") == 0
    assert world.everything() == before
    verdict = first[first.index("t2: does it reproduce t1?") :]
    assert verdict in capsys.readouterr().out
    shutil.rmtree(folder)
    assert main(["report", "t2", "--root_experiment_folder", str(world.root)]) == 0
    assert verdict in capsys.readouterr().out
    assert reproduce(world, world.root / "t2", "t2") == 2
    assert "another --experiment_name" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_numbers_bit_for_bit(earlier, world, capsys):
    folder = copied(earlier, world, "configs", "record.json")
    assert reproduce(world, folder, "t2", "--same_seed", "--keep_weights", "all") == 0
    printed = capsys.readouterr().out
    assert "the chosen trial itself and 2 reproductions (as many as it had), with the same seed" in printed
    assert "the same numbers bit for bit: all 60 numbers of 3 trainings" in printed
    evaluations = by_key(world, "t2", "evaluations", 7)
    assert evaluations == by_key(earlier, "t1", "evaluations", 7)
    measured, expected = by_key(world, "t2", "measurements", 8), by_key(earlier, "t1", "measurements", 8)
    assert measured == {key: expected[key] for key in measured}
    weights = {p.relative_to(world.root / "t2") for p in (world.root / "t2").rglob("*.pth")}
    assert weights == {p.relative_to(earlier.root / "t1") for p in (earlier.root / "t1").rglob("*.pth")}
    for path in weights:
        assert (world.root / "t2" / path).read_bytes() == (earlier.root / "t1" / path).read_bytes()


def test_missing_weights_come_back_as_the_error_says(world, capsys):
    assert world.run("t1", "--keep_weights", "none", trials=1, reproductions=1) == 0
    command = ["--root_experiment_folder", str(world.root)]
    assert main([*command, "--experiment_name", "t1", "--evaluate", "--splits_to_eval", "[val]"]) == 2
    words = capsys.readouterr().err.split("powerbench --reproduce_results")[1].replace("<new name>", "t2").split()
    assert main([*command, "--reproduce_results", *words]) == 0
    assert "bit for bit" in capsys.readouterr().out
    assert main([*command, "--experiment_name", "t2", "--evaluate", "--splits_to_eval", "[val]"]) == 0
    assert {row[1:3] for row in world.rows("evaluations") if row[0] == "t2" and row[3] == "val"} == {
        ("search", 0),
        ("reproduction", 0),
    }


def test_another_split_needs_the_merge_flag_and_is_not_comparable(earlier, world, capsys):
    folder = copied(earlier, world, "configs", "record.json")
    assert reproduce(world, folder, "t2", *SWAP) == 2
    assert "split_manager" in capsys.readouterr().err
    assert not world.root.exists()
    assert reproduce(world, folder, "t2", *SWAP, MERGE, "--reproductions", "1") == 0
    printed = capsys.readouterr().out
    assert "1 reproduction (it had 2)" in printed
    assert "verdict: not comparable: split_manager." in printed
    assert "agree" not in printed.split("verdict:")[1]
    assert world.rows("summaries")
    assert not (world.root / "t2" / "meta_logs" / "verdict.csv").exists()


def test_another_method_is_no_reproduction(earlier, world, capsys):
    folder = copied(earlier, world, "configs", "record.json")
    loss = ["--loss_funcs~OVERRIDE~", "{metric_loss: {TripletMarginLoss: {}}}"]
    assert reproduce(world, folder, "t2", *loss, MERGE) == 0
    printed = capsys.readouterr().out
    assert "verdict: no reproduction: the method of t1 was changed (loss_funcs/metric_loss/" in printed


def test_configs_alone_are_enough(earlier, world, capsys):
    folder = copied(earlier, world, "configs")
    assert reproduce(world, folder, "t2") == 0
    printed = capsys.readouterr().out
    assert "1 reproduction (without record.json" in printed
    assert "verdict: no earlier results were found in" in printed
    with Store.open(world.root / "results.sqlite") as store:
        loss = store.experiment("t2").config["config_loss_and_miners"]["loss_funcs"]
    best = yaml.safe_load((earlier.root / "t1" / "best_parameters.yaml").read_text())
    assert loss == best["loss_funcs~OVERRIDE~"]


def test_a_search_without_its_best_setting_cannot_be_reproduced(earlier, world, capsys):
    folder = copied(earlier, world, "configs")
    (folder / "configs" / "best_parameters.yaml").unlink()
    assert reproduce(world, folder, "t2") == 2
    assert "neg_margin" in capsys.readouterr().err
    assert not world.root.exists()


def test_a_single_training_is_reproduced_and_repeated(world, capsys):
    assert world.run("single") == 0
    assert reproduce(world, world.root / "single", "again") == 0
    assert "too few runs" in capsys.readouterr().out or not by_key(world, "single", "evaluations", 7)
    assert reproduce(world, world.root / "single", "same", "--same_seed") == 0
    assert "bit for bit: all 2 numbers of one training" in capsys.readouterr().out
    assert by_key(world, "same", "measurements", 8).items() >= by_key(world, "single", "measurements", 8).items()
    assert {row[1] for row in world.rows("evaluations") if row[0] == "same"} == {"single"}
    assert reproduce(world, world.root / "single", "same", "--same_seed", "--reproductions", "3") == 2


def test_users_code_goes_with_the_folder_and_must_be_what_was_used(world, tmp_path, capsys):
    source = tmp_path / "my_loss.py"
    source.write_text(
        "import torch\n\nclass MyLoss(torch.nn.Module):\n"
        "    def forward(self, embeddings, labels, indices_tuple=None):\n        return embeddings.pow(2).mean()\n"
    )
    assert world.run("mine", "--loss_funcs~OVERRIDE~", "{metric_loss: {my_loss.py:MyLoss: {}}}", reproductions=1) == 0
    source.unlink()
    folder = tmp_path / "sent"
    shutil.copytree(world.root / "mine", folder)
    world.forget()
    assert reproduce(world, folder, "t2", "--same_seed") == 0
    assert "bit for bit" in capsys.readouterr().out
    copy = next((folder / "configs" / "user_code").glob("my_loss_*.py"))
    assert (world.root / "t2" / "configs" / "user_code" / copy.name).read_bytes() == copy.read_bytes()
    copy.write_text(copy.read_text().replace("pow(2)", "abs()"))
    assert reproduce(world, folder, "t3") == 2
    assert "changed" in capsys.readouterr().err


def test_an_interrupted_reproduction_is_continued_by_the_same_command(earlier, world, monkeypatch, capsys):
    folder = copied(earlier, world, "configs", "record.json")
    from powerbench.training import train_fold

    trained = []

    def die_after_two(job, **named):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(job)
        return train_fold(job, **named)

    monkeypatch.setattr("powerbench.training.train_fold", die_after_two)
    assert reproduce(world, folder, "t2", "--same_seed") == 3
    monkeypatch.undo()
    monkeypatch.chdir(world.folder)
    assert main(["--experiment_name", "t2", "--root_experiment_folder", str(world.root)]) == 0
    assert "bit for bit" in capsys.readouterr().out
    expected = by_key(earlier, "t1", "runs", 4)
    assert by_key(world, "t2", "runs", 4) == {key: expected[key] for key in by_key(world, "t2", "runs", 4)}
    assert len(world.rows("runs")) == 3 * 2


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--bayes_opt_iters", "3"], "searches nothing"),
        (["--evaluate"], "leave out --evaluate"),
        (["--resume_training", "latest"], "leave out --resume_training"),
        (["--reproductions", "0"], "1 or more"),
        (["--config_general", "[default]"], "config of its own"),
        (["--patience", "1"], "patience"),
        (["--seed", "5", MERGE, "--same_seed"], "--seed"),
        (["--patienc", "1"], "patience"),
        (
            ["--loss_funcs~OVERRIDE~", "{metric_loss: {ContrastiveLoss: {neg_margin~BAYESIAN~: [0, 1]}}}", MERGE],
            "fixed",
        ),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_written(earlier, world, more, says, capsys):
    assert reproduce(world, earlier.root / "t1", "t2", *more) == 2
    assert says in capsys.readouterr().err
    assert not world.root.exists()


def test_wrong_folders_and_names_are_refused(earlier, world, capsys):
    assert reproduce(world, world.folder / "nowhere", "t2") == 2
    assert "is not the folder of an experiment" in capsys.readouterr().err
    assert main(["--experiment_name", "t2", "--same_seed"]) == 2
    assert "--reproduce_results" in capsys.readouterr().err
    assert world.run("t2") == 0
    assert reproduce(world, earlier.root / "t1", "t2") == 2
    assert "t2 exists and reproduces nothing" in capsys.readouterr().err


def test_the_seed_of_a_reproduction_cannot_change_on_the_way(earlier, world, capsys):
    folder = copied(earlier, world, "configs", "record.json")
    assert reproduce(world, folder, "t2", "--reproductions", "1") == 0
    assert reproduce(world, folder, "t2", "--same_seed") == 2
    assert "seed" in capsys.readouterr().err


def test_validate_says_what_a_reproduction_would_train(earlier, world, capsys):
    words = ["--reproduce_results", str(earlier.root / "t1"), "--experiment_name", "t2"]
    assert main(["validate", *words, "--root_experiment_folder", str(world.root)]) == 0
    printed = capsys.readouterr().out
    assert "t2 reproduces t1" in printed
    assert "4 fold runs" in printed
    assert not world.root.exists()
