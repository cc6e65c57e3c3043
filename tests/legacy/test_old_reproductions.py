"""Folders of powerful-benchmarker are reproduced with the commands that its documentation gives."""

import numpy as np
import pytest

from powerbench.cli import main
from powerbench.commands import experiment as command
from powerbench.config.argv import parse
from powerbench.roots import find_roots
from powerbench.store.store import Store
from tests.legacy.old_folders import OF_0_9_32, PUBLISHED, TABLE, write_configs, write_tables, write_yaml
from tests.training import tiny

pytestmark = pytest.mark.slow

RECIPE = "--split_manager~SWAP~1 {MLRCSplitManager: {}} --merge_argparse_when_resuming"
COMMANDS = {
    "cub": "",
    "cars": "--config_dataset [default, with_cars196] --config_general [default, with_cars196]",
    "sop": "--config_dataset [default, with_sop] --config_general [default, with_sop]",
    "batch_256": "--config_general [default, with_256_batch]",
}
MEANT = {
    "cub": ("CUB200", 2, 9, 32),
    "cars": ("Cars196", 5, 14, 32),
    "sop": ("StanfordOnlineProducts", 20, 39, 32),
    "batch_256": ("CUB200", 2, 9, 256),
}
DATASET = f"--dataset~OVERRIDE~ {{{tiny.named('TinyImages')}: {{classes: 16, per_class: 4, size: 32}}}}"
SHORT = (
    "--trainer {MetricLossOnly: {iterations_per_epoch: 1, dataloader_num_workers: 0}} --num_epochs_train 1 --device cpu"
)
TINY = f"--models~OVERRIDE~ {{trunk: {{{tiny.named('tiny_trunk')}: {{}}}}, embedder: {{MLP: {{layer_sizes: [5]}}}}}}"
SMALL = {"train": {"Resize": {"size": 32}}, "eval": {"Resize": {"size": 32}}}


@pytest.fixture(name="folder")
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cub_contrastive41_reproduction0"


def words(folder, setting, *more):
    parts = [f"--reproduce_results {folder} --experiment_name again", RECIPE, COMMANDS[setting], *more]
    places = f"--root_experiment_folder {folder.parent}/experiments --cache_dir {folder.parent}/cache"
    return " ".join([*parts, places]).split()


def stored(folder, name="again"):
    with Store.open(folder.parent / "experiments/results.sqlite") as store:
        found = store.experiment(name)
        trials = store.trials(found.id)
        flat = {key: value for keys in found.config.values() for key, value in keys.items()}
        return flat, trials, store.runs(trials[0].id), store.evaluations(trials[0].id)


@pytest.mark.parametrize("setting", COMMANDS)
def test_each_documented_command_means_what_was_published(folder, setting):
    line = parse(words(write_configs(folder, only=PUBLISHED), setting), command.FLAGS)
    config = command.reproduction_of(line, find_roots(line.flags), None, with_data=False).prepared.config
    found = config.dataset.name, config.save_interval, config.patience, config.trainer.batch_size
    assert found == MEANT[setting]
    assert config.split_manager.name == "MLRCSplitManager"
    assert dict(config.loss_funcs["metric_loss"].args) == {"pos_margin": -0.2, "neg_margin": 0.3841}


@pytest.mark.parametrize("setting", ["cars", "sop", "batch_256"])
def test_each_documented_command_trains_on_miniature_data(folder, setting, capsys):
    write_configs(folder, only=PUBLISHED, transforms=SMALL)
    assert main(words(folder, setting, DATASET, SHORT, TINY)) == 0
    flat, trials, runs, evaluations = stored(folder)
    assert (flat["save_interval"], flat["patience"]) == MEANT[setting][1:3]
    assert flat["trainer"]["MetricLossOnly"]["batch_size"] == MEANT[setting][3]
    assert [(trial.kind, trial.state) for trial in trials] == [("reproduction", "done")]
    assert [run.fold_name for run in runs] == [f"Test50_50_Partitions4_{number}" for number in range(4)]
    assert {(row.split, row.mode) for row in evaluations} == {("test", "separate"), ("test", "concatenated")}
    assert "took default, with_" in capsys.readouterr().err


def test_a_whole_search_is_reproduced_beside_what_it_logged(folder, capsys):
    loss = {"metric_loss": {"ContrastiveLoss": {"pos_margin": -0.2, "neg_margin~BAYESIAN~": [0, 2]}}}
    write_configs(folder, OF_0_9_32, loss_funcs=loss, transforms=SMALL)
    chosen = {"loss_funcs/metric_loss/ContrastiveLoss/neg_margin": 0.3841}
    write_yaml(folder / "best_parameters.yaml", {"best_sub_experiment_name": "x41", "best_parameters": chosen})
    for number, value in enumerate((0.25, 0.26)):
        rows = [{"mean_average_precision_at_r_level0": value, "trained_status": "trained"}]
        tables = {f"MeanAggregator_{TABLE}_{split}": rows for split in ("TEST", "VAL")}
        write_tables(folder / f"x41_reproduction{number}/meta_logs", tables)
    assert main(words(folder, "cub", DATASET, SHORT, TINY)) == 0
    printed = capsys.readouterr().out
    flat, trials, _, _ = stored(folder)
    assert flat["loss_funcs"]["metric_loss"]["ContrastiveLoss"]["neg_margin"] == 0.3841
    assert len(trials) == 2
    assert "2 reproductions (as many as it had), with new seeds" in printed
    assert "what powerful-benchmarker logged, and what is measured now" in printed
    compared = [line.split() for line in printed.splitlines() if "25.50 ± 6.35 (2)" in line]
    assert [line[0] for line in compared] == ["test", "val"]
    assert f"{np.mean([trial.mean for trial in trials]) * 100:.2f}" == compared[1][8]
    assert "verdict: not comparable: dataset" in printed
    assert (folder.parent / "experiments/again/meta_logs/logged.csv").is_file()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("--same_seed", "there are no seeds"),
        ("--patiense 3", "patience"),
        ("--split_manager~OVERRIDE~ {MLRC: {}} ", "no split manager named 'MLRC'"),
    ],
)
def test_wrong_requests_are_refused(folder, more, says, capsys):
    given = words(write_configs(folder, only=PUBLISHED), "cub", more)
    if "split_manager" in more:
        del given[given.index("--split_manager~SWAP~1") : given.index("--merge_argparse_when_resuming")]
    assert main(given) == 2
    assert says in capsys.readouterr().err
    assert not (folder.parent / "experiments").exists()
