"""Every mistake is refused with exit status 2 and one clear message, and nothing is created on disk."""

import shlex

import pytest

from powerbench.cli import main

DEMO = (
    "--config_dataset [demo] --config_general [default, demo] --config_models [demo] --config_optimizers [demo] "
    "--config_transforms [demo]"
)
SEARCH = "--bayes_opt_iters 2 --loss_funcs~OVERRIDE~ {metric_loss: {ContrastiveLoss: {neg_margin~BAYESIAN~: [0, 1]}}}"


@pytest.fixture(name="refused")
def _refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no_user_file"))

    def check(command: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        status = main(shlex.split(command))
        output = capsys.readouterr()
        assert status == 2, output
        assert sorted(tmp_path.rglob("*")) == before
        assert "Traceback" not in output.err
        return output.err

    return check


MISTAKES = {
    "misspelt flag": (f"--experiment_name x {DEMO} --reproduktions 3", "reproductions"),
    "misspelt key": (f"--experiment_name x {DEMO} --patiense 3", "patience"),
    "misspelt nested key": (f"--experiment_name x {DEMO} --trainer~APPLY~2 {{batchsize: 16}}", "batch_size"),
    "misspelt class": (
        f"--experiment_name x {DEMO} --loss_funcs~OVERRIDE~ {{metric_loss: {{ContrastivLoss: {{}}}}}}",
        "ContrastiveLoss",
    ),
    "misspelt argument": (
        f"--experiment_name x {DEMO} --loss_funcs {{metric_loss: {{ContrastiveLoss: {{neg_margn: 1}}}}}}",
        "neg_margin",
    ),
    "misspelt config name": ("--experiment_name x --config_dataset [dem]", "demo"),
    "misspelt category": ("--experiment_name x --config_datasets [demo]", "config_dataset"),
    "misspelt split": (f"--experiment_name x {DEMO} --splits_to_eval [tset]", "test"),
    "misspelt metric": (f"--experiment_name x {DEMO} --evaluation_metrics [map_at_rr]", "map_at_r"),
    "misspelt primary metric": (
        f"--experiment_name x {DEMO} --hook_container {{HookContainer: {{primary_metric: map_at_rr}}}}",
        "map_at_r",
    ),
    "misspelt operator": (f"--experiment_name x {DEMO} --loss_funcs~OVERIDE~ {{}}", "OVERRIDE"),
    "misspelt command": ("sute demo", "suite"),
    "misspelt suite": ("suite dmo", "demo"),
    "misspelt list": ("list loses", "losses"),
    "unknown experiment": ("report nothing", "nothing"),
    "wrong type": (f"--experiment_name x {DEMO} --num_epochs_train many", "num_epochs_train"),
    "wrong type of a flag": (f"--experiment_name x {DEMO} --bayes_opt_iters many", "whole number"),
    "reversed bounds": (
        f"--experiment_name x {DEMO} --bayes_opt_iters 2 --loss_funcs {{metric_loss: {{ContrastiveLoss: {{neg_margin~BAYESIAN~: [1, 0]}}}}}}",
        "reversed",
    ),
    "log bounds at zero": (
        f"--experiment_name x {DEMO} --bayes_opt_iters 2 --loss_funcs {{metric_loss: {{ContrastiveLoss: {{neg_margin~LOG_BAYESIAN~: [0, 1]}}}}}}",
        "above 0",
    ),
    "a search over nothing": (f"--experiment_name x {DEMO} --bayes_opt_iters 2", "BAYESIAN"),
    "a searched parameter without a search": (
        f"--experiment_name x {DEMO} {SEARCH.partition(' --loss')[2].join(['--loss', ''])}",
        "bayes_opt_iters",
    ),
    "missing dataset": ("--experiment_name x", "cub2011/CUB_200_2011/images"),
    "missing folder": (f"--experiment_name x {DEMO} --dataset~OVERRIDE~ {{ImageFolder: {{root: nowhere}}}}", "nowhere"),
    "a path as name": (f"--experiment_name a/b {DEMO}", "a/b"),
    "a parent as name": (f"--experiment_name .. {DEMO}", ".."),
    "no name": (DEMO, "experiment_name"),
    "nothing to evaluate": ("--experiment_name x --evaluate --splits_to_eval [test]", "no experiment x"),
    "no workers": (f"--experiment_name x {DEMO} --workers 0", "workers"),
    "a time that is none": (f"--experiment_name x {DEMO} --stop_after soon", "stop_after"),
    "reproductions that are none": (f"--experiment_name x {DEMO} --reproductions many", "reproductions"),
    "brace expansion by the shell": ("--experiment_name x --loss_funcs a:1 b:2", "quotes"),
    "a random transform in front of a frozen trunk": (
        f"--experiment_name x {DEMO} --transforms {{train: {{RandomHorizontalFlip: {{p: 0.5}}}}}}",
        "views",
    ),
    "own weights without an optimiser": (
        f"--experiment_name x {DEMO} --loss_funcs~OVERRIDE~ {{metric_loss: {{ProxyNCALoss: {{}}}}}} --sampler {{MPerClassSampler: {{m: 1}}}}",
        "metric_loss_optimizer",
    ),
    "a grid over a range": (f"--experiment_name x {DEMO} {SEARCH} --search_strategy grid", "GRID"),
    "a search over the split": (
        f"--experiment_name x {DEMO} --bayes_opt_iters 2 --split_manager~APPLY~2 {{test_size~BAYESIAN~: [0.3, 0.5]}}",
        "split_manager/ClassDisjointSplitManager/test_size cannot be searched",
    ),
    "a search over the measure": (
        f"--experiment_name x {DEMO} --bayes_opt_iters 2 --ties~CHOICE_BAYESIAN~ [pessimistic, optimistic]",
        "ties cannot be searched",
    ),
    "a search over the seed": (
        f"--experiment_name x {DEMO} --bayes_opt_iters 2 --seed~INT_BAYESIAN~ [0, 9]",
        "seed cannot be searched",
    ),
    "a missing file of the user's": (
        f"--experiment_name x {DEMO} --loss_funcs~OVERRIDE~ {{metric_loss: {{none.py:L: {{}}}}}}",
        "none.py",
    ),
    "more folds than classes": (
        f"--experiment_name x {DEMO} --split_manager~APPLY~2 {{num_training_partitions: 1000}}",
        "partitions",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_and_nothing_is_written(mistake, refused):
    command, expected = MISTAKES[mistake]
    assert expected in refused(command)


def test_an_empty_image_folder_is_refused(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(f"--experiment_name x {DEMO} --dataset~OVERRIDE~ {{ImageFolder: {{root: empty}}}}")


def test_methods_of_a_suite_must_share_the_protocol(refused, tmp_path):
    (tmp_path / "unfair.yaml").write_text(
        "trials: 0\nreproductions: 1\nconfig_dataset: [demo]\nconfig_general: [default, demo]\nconfig_models: [demo]\n"
        "config_optimizers: [demo]\nconfig_transforms: [demo]\n"
        "methods:\n  a: {}\n  b: {overrides: {patience: 3, trainer~APPLY~2: {batch_size: 16}}}\n"
    )
    message = refused("suite unfair.yaml")
    assert "batch_size" in message
    assert "patience" in message


def test_a_suite_file_with_an_unknown_key_is_refused(refused, tmp_path):
    (tmp_path / "s.yaml").write_text("trials: 0\nreproductions: 1\nmethds: {a: {}}\n")
    assert "methods" in refused("suite s.yaml")
