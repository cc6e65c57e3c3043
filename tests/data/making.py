"""Configs and datasets for the tests of data and models."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from powerbench.config.schema import ExperimentConfig
from powerbench.jobs import Places
from split_managers.contract import DatasetIndex

CPU = torch.device("cpu")
CROPS = {"RandomResizedCrop": {"size": 16, "scale": "0.16 1", "ratio": "0.75 1.33"}, "RandomHorizontalFlip": {"p": 0.5}}


def config_of(
    trunk: Any = None, *, train: Any = None, test: Any = None, workers: int = 0, layer_sizes: Any = (4,), **keys: Any
) -> ExperimentConfig:
    """A whole config around the keys under test."""
    recipe = {"Resize": {"size": [16, 16]}}
    return ExperimentConfig.from_plain(
        {
            "dataset": {"Emoji200": None},
            "split_manager": {"MLRCSplitManager": {}},
            "tester": {"GlobalEmbeddingSpaceTester": {"dataloader_num_workers": workers}},
            "aggregator": {"MeanAggregator": None},
            "ensemble": {"ConcatenateEmbeddings": None},
            "hook_container": {"HookContainer": None},
            "trainer": {"MetricLossOnly": {"dataloader_num_workers": workers}},
            "loss_funcs": {"metric_loss": "ContrastiveLoss"},
            "sampler": {"MPerClassSampler": {"m": 4}},
            "models": {
                "trunk": trunk or {"bninception": {"pretrained": None}},
                "embedder": {"MLP": {"layer_sizes": list(layer_sizes)}},
            },
            "optimizers": {},
            "transforms": {"train": recipe if train is None else train, "eval": recipe if test is None else test},
            **keys,
        }
    )


def places_in(folder: Path) -> Places:
    """All roots below one folder."""
    return Places(str(folder / "data"), str(folder / "cache"), str(folder / "torch"))


class Noise:
    """``count`` images of noise, two of each class; counts how often it is asked for one."""

    def __init__(self, count: int = 20, size: tuple[int, int] = (24, 20)) -> None:
        labels = np.arange(count) // 2
        self.index = DatasetIndex(
            labels=labels[:, None],
            class_names=(tuple(f"class {label}" for label in range(labels.max() + 1)),),
            item_names=tuple(f"item {number}" for number in range(count)),
        )
        self.pixels = np.random.default_rng(1).integers(0, 256, (count, *size, 3), dtype=np.uint8)
        self.checksum = hashlib.sha256(self.pixels.tobytes()).hexdigest()
        self.asked = 0

    def image(self, item: int) -> Image.Image:
        self.asked += 1
        return Image.fromarray(self.pixels[item])
