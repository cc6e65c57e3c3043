import json
import subprocess

import torch

from powerbench.environment import environment, environment_differences, git_state


def test_it_names_versions_hardware_and_threads():
    found = environment(torch.device("cpu"), threads=3)
    assert found["torch"] == torch.__version__.partition("+")[0]
    assert found["threads"] == 3
    assert found["device"] == "cpu"
    assert found["cuda"] is None
    assert {"python", "torchvision", "pytorch_metric_learning", "numpy", "faiss", "host", "cpu", "git"} <= found.keys()
    assert json.loads(json.dumps(found)) == found


def test_the_git_state_is_a_commit_and_whether_it_was_changed(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *identity, "-C", tmp_path, *arguments], check=True, capture_output=True, text=True
        )

    assert git_state(tmp_path) is None
    git("init")
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    commit = git("rev-parse", "--short=12", "HEAD").stdout.strip()
    assert git_state(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path) == f"{commit}+"


def test_differences_name_old_and_new_and_leave_out_what_says_nothing():
    old = {"torch": "2.9", "cuda": None, "host": "a", "config_hash": "1", "gone": 1}
    new = {"torch": "2.10", "cuda": "12.8", "host": "a", "config_hash": "2", "added": 1}
    assert environment_differences(old, new) == ["torch 2.9 -> 2.10", "cuda none -> 12.8"]
    assert environment_differences(old, old) == []
