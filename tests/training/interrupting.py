"""Interrupting a run, and comparing what came of it to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from powerbench.errors import Stopped
from powerbench.jobs import TrainJob, TrainResult
from powerbench.training import checkpoints, train_fold


class StopAt:
    """Asks for a stop from its ``call``-th question on."""

    def __init__(self, call: int | None) -> None:
        self.call, self.calls = call, 0

    def __call__(self) -> bool:
        self.calls += 1
        return self.call is not None and self.calls >= self.call


def train_interrupted(job: TrainJob, stops: Sequence[int]) -> tuple[TrainResult, int]:
    """Train, stopping each attempt at the given question; the result and how many attempts were stopped."""
    stopped = 0
    for call in stops:
        try:
            return train_fold(job, should_stop=StopAt(call)), stopped
        except Stopped:
            stopped += 1
    return train_fold(job), stopped


def without_times(result: TrainResult) -> TrainResult:
    return replace(result, seconds=0.0, model_seconds=0.0)


def last_state(folder: Path) -> dict:
    """The checkpoint of the last epoch, if removing it was prevented; without times."""
    content = torch.load(folder / checkpoints.CHECKPOINT, weights_only=True)
    content.pop("key")
    content["history"] |= {"seconds": 0.0, "model_seconds": 0.0}
    return content


def same(first, second) -> bool:
    """Equal to the last bit, at any depth."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    return type(first) is type(second) and first == second
