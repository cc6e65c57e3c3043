"""What a loss costs beside the contrastive loss: forward and backward at batches of 256, D = 128, 100 classes.

Prints a table of median CPU milliseconds on one thread and their ratio to a contrastive step; all losses are timed in
turn, so that other load meets all alike. Losses marked "library" are pytorch-metric-learning's own of that name.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_metric_learning.losses as library
import torch
from torch import nn

from powerbench.classes import build
from powerbench.config.merged import MergedConfig
from powerbench.config.search_keys import fill, search_keys
from powerbench.config.typed import typed
from powerbench.driver.requests import requested_config
from powerbench.driver.suites import load_suite
from powerbench.methods.metric_losses import build_losses
from powerbench.seeding import seeded

BATCH, SIZE, CLASSES, ROUNDS, SLOW_ROUNDS = 256, 128, 100, 15, 3
MENDED = (
    "NTXentLoss",
    "SignalToNoiseRatioContrastiveLoss",
    "SoftTripleLoss",
    "SmoothAPLoss",
    "PNPLoss",
    "TripletMarginLoss",
)
SUITE = "new_reality_check_emoji200"


def main(words: Sequence[str] = ()) -> None:
    """Time every method of the suite, and the library's versions of those that are our own for their cost."""
    argparse.ArgumentParser(prog="python -m benchmarks losses", description=__doc__).parse_args(words)
    torch.set_num_threads(1)
    with seeded(1):
        embeddings, steps = torch.randn(BATCH, SIZE), {}
        (part,) = load_suite(SUITE, root=None, overrides={}).parts
        for name, request in part.requests.items():
            steps[name] = _step(*_configured(requested_config(request, None, None)[0]), embeddings)
        for name in MENDED:
            loss = _library_loss(name)
            steps[f"{name} (library)"] = _step(nn.ModuleDict({name: loss}), None, 4, embeddings)
    seconds = _timed(steps)
    print("| loss | CPU ms | times contrastive |\n|---|---|---|")
    for name, value in sorted(seconds.items(), key=lambda item: item[1]):
        print(f"| {name} | {value * 1000:.1f} | {value / seconds['contrastive']:.1f} |")


def _configured(merged: MergedConfig) -> tuple[nn.ModuleDict, Any, int]:
    """A config's losses with the middle of its search space, its miner, and its items a class."""
    middle = {key.path: type(key.value[0])(sum(key.value) / 2) for key in search_keys(merged)}
    config = typed(fill(merged, middle), merged)
    miner = build("miner", config.mining_funcs["tuple_miner"]) if config.mining_funcs else None
    return nn.ModuleDict(build_losses(config, CLASSES, SIZE)), miner, int(config.sampler.args["m"])


def _library_loss(name: str) -> Any:
    sizes = {"num_classes": CLASSES, "embedding_size": SIZE} if name == "SoftTripleLoss" else {}
    return getattr(library, name)(**sizes)


def _step(losses: nn.ModuleDict, miner: Any, per_class: int, embeddings: torch.Tensor) -> Callable[[], None]:
    labels = (torch.arange(BATCH) // per_class) % CLASSES

    def step() -> None:
        losses.zero_grad()
        rows = embeddings.clone().requires_grad_()
        mined = miner(rows, labels) if miner else None
        torch.stack([loss(rows, labels, mined) for loss in losses.values()]).sum().backward()

    return step


def _timed(steps: dict[str, Callable[[], None]]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(ROUNDS + 1):
        for name, step in steps.items():
            if number > SLOW_ROUNDS and max(times[name]) > 0.1:
                continue
            started = time.process_time()
            step()
            times[name].append(time.process_time() - started)
    return {name: statistics.median(each[1:]) for name, each in times.items()}
