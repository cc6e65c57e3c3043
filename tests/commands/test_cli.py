import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from powerbench.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]


def test_help_is_light_and_imports_neither_torch_nor_ax(tmp_path):
    code = (
        "import atexit, os, runpy, sys; sys.argv = ['run.py', '--help']\n"
        "heavy = {'torch', 'ax', 'pandas', 'sqlalchemy', 'numpy'}\n"
        "atexit.register(lambda: heavy & set(sys.modules) and os._exit(9))\n"
        f"runpy.run_path({str(ROOT / 'run.py')!r}, run_name='__main__')\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_a_process_without_standard_streams_does_its_work(tmp_path, closed):
    work = [sys.executable, str(ROOT / "run.py"), "list", "losses"]
    ended = subprocess.run(work, cwd=tmp_path, preexec_fn=lambda: [os.close(number) for number in closed])
    assert ended.returncode == 0


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)])
def test_everything_explains_itself(words, capsys):
    assert main(words) == 0
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    "what", ["configs", "suites", "losses", "miners", "samplers", "datasets", "metrics", "methods"]
)
def test_list_names_what_a_config_may_use(what, capsys):
    assert main(["list", what]) == 0
    expected = {
        "configs": "config_dataset: ",
        "suites": "demo",
        "losses": "ContrastiveLoss",
        "miners": "MultiSimilarityMiner",
        "samplers": "MPerClassSampler",
        "datasets": "CUB200",
        "metrics": "map_at_r",
        "methods": "MetricLossOnly\nTrainWithClassifier\nUnsupervisedEmbeddingsUsingAugmentations",
    }
    assert expected[what] in capsys.readouterr().out


def test_list_without_a_store_creates_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0
    assert "no experiments" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_validate_prints_config_plan_and_where_each_location_was_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POWERBENCH_DATASET_ROOT", "/somewhere")
    assert (
        main(
            [
                "validate",
                "--bayes_opt_iters",
                "50",
                "--reproductions",
                "10",
                "--config_loss_and_miners",
                "[contrastive]",
            ]
        )
        == 0
    )
    output = capsys.readouterr().out
    assert "240 fold runs" in output
    assert "neg_margin~BAYESIAN~" in output
    assert "/somewhere (environment variable POWERBENCH_DATASET_ROOT)" in output
    assert re.search(
        r"between [^(]+ \(if every fold run stops as early as patience allows\) and [^(]+ \(if none", output
    )
    assert not list(tmp_path.iterdir())


def test_validate_counts_a_suite(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "suite", "demo"]) == 0
    assert "in all: 312 fold runs" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_validate_takes_some_of_a_suite_s_methods(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "suite", "demo", "--methods", "[triplet, ntxent]"]) == 0
    assert "in all: 104 fold runs" in capsys.readouterr().out
    assert main(["validate", "suite", "demo", "--methods", "[triplets]"]) == 2
    assert "Did you mean triplet?" in capsys.readouterr().err


def test_locations_come_from_the_user_file_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "powerbench.yaml").write_text("dataset_root: /data\n")
    assert main(["validate"]) == 0
    assert f"/data ({tmp_path / 'powerbench.yaml'})" in capsys.readouterr().out
    (tmp_path / "powerbench.yaml").write_text("dataset_rot: /data\n")
    assert main(["validate"]) == 2
    assert "dataset_root" in capsys.readouterr().err
