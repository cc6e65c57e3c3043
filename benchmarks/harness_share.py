"""How much of a training run is not the model's own compute: BN-Inception at 64 px on Emoji200.

Prints seconds per training step and the share of the run's time spent outside forward, backward and
optimiser steps (data, measuring, checkpoints, start-up of the run).
"""

from __future__ import annotations

import tempfile

from powerbench.config.merged import load_config
from powerbench.config.search_keys import fill
from powerbench.jobs import Places, TrainJob
from powerbench.training import train_fold

OVERRIDES = {
    "models~OVERRIDE~": {"trunk": {"bninception": {"pretrained": None}}, "embedder": {"MLP": {"layer_sizes": [128]}}},
    "transforms~OVERRIDE~": {
        "train": {
            "Resize": {"size": 72},
            "RandomResizedCrop": {"scale": [0.16, 1], "ratio": [0.75, 1.33], "size": 64},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        "eval": {"Resize": {"size": 72}, "CenterCrop": {"size": 64}},
    },
    "trainer~APPLY~2": {"iterations_per_epoch": 20},
    "num_epochs_train": 2,
    "save_interval": 1,
    "check_untrained_accuracy": False,
}


def main() -> None:
    """Train two fold runs, the second with two data workers, and print where their time went."""
    for workers in (0, 2):
        overrides = {**OVERRIDES, "trainer~APPLY~2": {"iterations_per_epoch": 20, "dataloader_num_workers": workers}}
        merged = load_config({"config_dataset": ["demo"]}, overrides)
        config = fill(merged, {})
        with tempfile.TemporaryDirectory() as folder:
            job = TrainJob(config, 0, 1, f"{folder}/run", Places(folder, f"{folder}/cache"))
            result = train_fold(job)
        outside = result.seconds - result.model_seconds
        print(
            f"dataloader workers {workers}: {result.iterations} steps and 2 evaluations in {result.seconds:.1f} s, "
            f"model {result.model_seconds:.1f} s, everything else {outside:.1f} s ({outside / result.seconds:.1%})"
        )
