"""A world small enough to train in a fraction of a second: a user's file with a dataset, a trunk and losses."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from powerbench.jobs import Places, TrainJob
from powerbench.models.trunk import Trunk
from powerbench.models.trunk_contract import InputSpec
from split_managers.contract import DatasetIndex

FILE = Path(__file__)


def named(name: str, file: Path = FILE) -> str:
    """How a config names a class of a file."""
    return f"{file}:{name}"


class TinyImages:
    """8 x 8 images: each class has a colour of its own, with noise."""

    def __init__(self, classes: int = 12, per_class: int = 6, size: int = 8, noise: float = 40.0) -> None:
        labels = np.repeat(np.arange(classes), per_class)
        names = tuple(f"class {label}" for label in range(classes))
        self.index = DatasetIndex(
            labels=labels[:, None], class_names=(names,), item_names=tuple(f"item {n}" for n in range(len(labels)))
        )
        generator = np.random.default_rng(7)
        colours = generator.uniform(60, 200, (classes, 1, 1, 3))
        images = colours[labels] + generator.normal(0, noise, (len(labels), size, size, 3))
        self.images = np.clip(images, 0, 255).astype(np.uint8)
        self.checksum = hashlib.sha256(self.images.tobytes()).hexdigest()

    def image(self, item: int) -> Image.Image:
        return Image.fromarray(self.images[item])


def tiny_trunk(dropout: float = 0.0, pretrained: bool = False) -> Trunk:
    """A convolution, batch norm and pooling: 6 features; random weights, or always the same."""
    layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Dropout(dropout))
    if pretrained:
        nn.init.trunc_normal_(network[0].weight, generator=torch.Generator().manual_seed(1))
        nn.init.zeros_(network[0].bias)
    known = {"weights": "known weights", "weights_hash": "0123"} if pretrained else {}
    return Trunk(network, name="tiny", width=6, input=InputSpec(), **known)


class LossThatFails(nn.Module):
    """Raises in its ``at``-th call, unless there is a file ``unless``."""

    def __init__(
        self, at: int = 3, text: str = "my own mistake", kind: str = "ZeroDivisionError", unless: str = "/nowhere"
    ) -> None:
        super().__init__()
        self.at, self.text, self.kind, self.unless, self.calls = at, text, kind, unless, 0

    def forward(self, embeddings, labels, indices_tuple=None):
        self.calls += 1
        if self.calls == self.at and not Path(self.unless).exists():
            errors = {"RuntimeError": RuntimeError, "OSError": OSError, "MemoryError": MemoryError}
            raise errors.get(self.kind, ZeroDivisionError)(self.text)
        return embeddings.pow(2).mean()


class LossThatNeverIs(nn.Module):
    """Cannot even be built."""

    def __init__(self, kind: str = "MemoryError") -> None:
        raise {"MemoryError": MemoryError, "RuntimeError": RuntimeError}[kind]("no")


class SamplerThatRefuses:
    """Cannot plan."""

    def __init__(self, labels, batch_size):
        pass

    def plan(self, n, generator, embed=None):
        raise ValueError(f"{len(embed())} embeddings do not please me")


class LossThatIsNan(nn.Module):
    """NaN in its ``at``-th call."""

    def __init__(self, at: int = 3) -> None:
        super().__init__()
        self.at, self.calls = at, 0

    def forward(self, embeddings, labels, indices_tuple=None):
        self.calls += 1
        return embeddings.pow(2).mean() * (torch.nan if self.calls == self.at else 1.0)


class LossThatExplodes(nn.Module):
    """Drives the embeddings away, to where only their norms overflow if the learning rate is large enough."""

    def forward(self, embeddings, labels, indices_tuple=None):
        return -embeddings.mean()


CONFIG = {
    "dataset": {named("TinyImages"): {}},
    "split_manager": {
        "ClassDisjointSplitManager": {
            "test_size": 0.5,
            "test_start_idx": 0.5,
            "num_training_partitions": 2,
            "num_training_sets": 2,
        }
    },
    "tester": {"GlobalEmbeddingSpaceTester": {"batch_size": 16, "dataloader_num_workers": 0}},
    "aggregator": {"MeanAggregator": {}},
    "ensemble": {"ConcatenateEmbeddings": {}},
    "hook_container": {"HookContainer": {}},
    "trainer": {"MetricLossOnly": {"iterations_per_epoch": 3, "batch_size": 8, "dataloader_num_workers": 0}},
    "num_epochs_train": 4,
    "save_interval": 2,
    "patience": None,
    "checkpoint_seconds": 0.0,
    "device": "cpu",
    "loss_funcs": {"metric_loss": {"ContrastiveLoss": {}}},
    "sampler": {"MPerClassSampler": {"m": 4}},
    "models": {"trunk": {named("tiny_trunk"): {}}, "embedder": {"MLP": {"layer_sizes": [5]}}},
    "optimizers": {
        "trunk_optimizer": {"RMSprop": {"lr": 0.001, "momentum": 0.9}},
        "embedder_optimizer": {"RMSprop": {"lr": 0.01, "momentum": 0.9}},
    },
    "transforms": {"train": {"RandomHorizontalFlip": {"p": 0.5}}, "eval": {}},
}


def tiny_job(folder: Path, fold: int = 0, seed: int = 11, **changes) -> TrainJob:
    """A job of the tiny world, with top-level keys of the config replaced."""
    places = Places(dataset_root=str(folder), cache_dir=str(folder / "cache"))
    return TrainJob(config={**CONFIG, **changes}, fold=fold, seed=seed, folder=str(folder / "run"), places=places)


def trainer(name: str = "MetricLossOnly", **settings) -> dict:
    """A trainer entry with the tiny world's size of epochs."""
    return {name: {"iterations_per_epoch": 3, "batch_size": 8, "dataloader_num_workers": 0, **settings}}
