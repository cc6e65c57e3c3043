"""SIGKILL at any moment: the same job again ends where it would have ended, whatever was being written."""

import multiprocessing
import time
from pathlib import Path

import pytest
import torch

from powerbench.training import train_fold
from tests.training.interrupting import same, without_times
from tests.training.tiny import tiny_job

KILLS = 20


@pytest.mark.slow
def test_killed_at_twenty_moments_it_ends_at_the_same_bits(tmp_path):
    whole, broken = tiny_job(tmp_path / "whole", num_epochs_train=6), tiny_job(tmp_path / "broken", num_epochs_train=6)
    expected = train_fold(whole)
    started = time.monotonic()
    train_fold(tiny_job(tmp_path / "timed", num_epochs_train=6))
    length = time.monotonic() - started
    fork = multiprocessing.get_context("fork")  # the libraries are loaded already
    killed = 0
    for moment in range(KILLS):
        process = fork.Process(target=train_fold, args=(broken,))
        process.start()
        process.join(length * (moment + 0.5) / KILLS)
        killed += process.is_alive()
        process.kill()
        process.join()
    assert killed > KILLS // 4
    result = train_fold(broken)
    assert without_times(result) == without_times(expected)
    for name in ("trunk_best.pth", "embedder_best.pth"):
        first, second = (torch.load(Path(job.folder) / name, weights_only=True) for job in (whole, broken))
        assert same(dict(first), dict(second))
    left = [path.name for path in Path(broken.folder).iterdir()]  # no half-written file either
    assert sorted(left) == ["embedder_best.pth", "result.json", "trunk_best.pth"]
