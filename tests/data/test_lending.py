"""Loader processes that outlive a fold run, and give the next one what fresh ones would."""

import multiprocessing
import os
import signal
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import nn

from powerbench.data.inputs import open_inputs
from powerbench.data.lending import stop_waiting
from powerbench.errors import PowerbenchError
from powerbench.evaluation.failures import failure_of
from powerbench.execution.in_process import InProcess
from powerbench.models.trunk import Trunk
from powerbench.models.trunk_contract import InputSpec
from tests.data.making import CPU, CROPS, Noise, config_of, places_in

PLAN = [np.array([3, 1, 4]), np.array([1, 5])]

pytestmark = pytest.mark.slow


others = set()
"""Processes of earlier tests."""


@pytest.fixture(autouse=True)
def _nothing_waits():
    stop_waiting()
    others.update(child.pid for child in multiprocessing.active_children())
    yield
    stop_waiting()


def opened(folder, dataset=None, *, train=CROPS, workers=1):
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    trunk = Trunk(network, name="tiny", width=3, input=InputSpec())
    config = config_of(train=train, workers=workers)
    return open_inputs(config, dataset or Noise(), trunk, places_in(folder), CPU).inputs


def drawn(inputs, seed=7):
    return [batch[0] for batch in inputs.batches(PLAN, part="train", seed=seed)]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def processes():
    return {child.pid for child in multiprocessing.active_children()} - others


def ended(pids):
    deadline = time.monotonic() + 10
    while pids & processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not pids & processes()


def test_the_next_run_of_the_same_images_takes_the_processes_over(tmp_path):
    expected = drawn(opened(tmp_path, workers=0), seed=8)
    first = opened(tmp_path)
    drawn(first)
    started = processes()
    assert len(started) == 1
    first.close()
    second = opened(tmp_path)
    next(iter(second.batches(PLAN, part="train")))  # left before its end
    assert same(drawn(second, seed=8), expected)
    assert processes() == started
    third = opened(tmp_path)  # while the second is open
    assert same(drawn(third, seed=8), expected)
    assert len(processes()) == 2
    second.close()
    third.close()
    assert len(processes()) == 1
    InProcess().close()
    assert not processes()


@pytest.mark.parametrize(
    "other",
    [
        {"train": {**CROPS, "RandomVerticalFlip": {"p": 0.5}}},
        {"dataset": Noise(count=22)},
        {"workers": 0},
    ],
)
def test_other_images_are_made_by_others(tmp_path, other):
    first = opened(tmp_path)
    drawn(first)
    started = processes()
    first.close()
    second = opened(tmp_path, **other)
    assert ended(started)
    assert same(drawn(second), drawn(opened(tmp_path, **{**other, "workers": 0})))


def test_processes_that_failed_are_not_lent_again(tmp_path):
    dataset, path = Noise(), tmp_path / "broken"
    whole = dataset.image

    def image(item):
        if path.exists():
            os._exit(3)
        return whole(item)

    first = opened(tmp_path, dataset)
    dataset.image = image
    path.touch()
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        drawn(first)
    first.close()
    path.unlink()
    assert same(drawn(opened(tmp_path)), drawn(opened(tmp_path, workers=0)))


def test_processes_that_were_killed_while_they_waited_are_not_lent_again(tmp_path):
    expected = drawn(opened(tmp_path, workers=0))
    first = opened(tmp_path)
    drawn(first)
    (killed,) = processes()
    first.close()
    with suppress(RuntimeError):  # torch tells it wherever this process happens to be
        os.kill(killed, signal.SIGKILL)
        assert ended({killed})
    assert same(drawn(opened(tmp_path)), expected)


def test_a_killed_process_is_no_finding_about_the_trial():
    killed = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    with pytest.raises(PowerbenchError, match="the same command goes on"):
        failure_of(killed, ())
