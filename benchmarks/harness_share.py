"""How much of a training run is not the model's own compute: BN-Inception at 64 px on Emoji200.

Prints seconds per training step (forward, backward, optimiser) and the share of a fold run's time spent outside
the model's compute: start-up of the run, data, measuring, checkpoints.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence

import torch
import yaml

from benchmarks._bninception import OVERRIDES
from powerbench.config.merged import load_config
from powerbench.config.search_keys import fill
from powerbench.config.typed import typed
from powerbench.jobs import Places, TrainJob
from powerbench.training import train_fold

STEPS, EPOCHS = 20, 2


def main(words: Sequence[str]) -> None:
    """Train fold runs with no, and with two data workers; print where their time went."""
    argparse.ArgumentParser(prog="python -m benchmarks harness_share", description=__doc__).parse_args(words)
    for workers in (0, 2):
        overrides = {key: yaml.safe_load(value) for key, value in OVERRIDES.items()}
        overrides["trainer~APPLY~2"] = {"iterations_per_epoch": STEPS, "dataloader_num_workers": workers}
        overrides |= {"num_epochs_train": EPOCHS, "save_interval": 1, "check_untrained_accuracy": False}
        merged = load_config({"config_dataset": ["demo"]}, overrides)
        config = typed(fill(merged, {}), merged).plain()
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            result = train_fold(TrainJob(config, 0, 1, f"{folder}/run", Places(folder, f"{folder}/cache")))
            wall = time.monotonic() - started
        outside = wall - result.model_seconds
        print(
            f"{workers} data workers, {torch.get_num_threads()} thread: {result.iterations} steps of 32 images, "
            f"{EPOCHS} evaluations in {wall:.1f} s; model {result.model_seconds:.1f} s, other {outside:.1f} s "
            f"({outside / wall:.1%})"
        )
