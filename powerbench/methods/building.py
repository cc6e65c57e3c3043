"""From a config, a dataset and a fold to a method, the same in training and in evaluation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import nn

from powerbench.classes import build
from powerbench.config.schema import ClassSpec, ExperimentConfig, freeze
from powerbench.methods.contract import FoldFacts, Method
from powerbench.seeding import seed_of, seeded
from split_managers.contract import DatasetIndex, Fold


def fold_facts(
    config: ExperimentConfig, index: DatasetIndex, fold: Fold, widths: Mapping[str, int], seed: int
) -> FoldFacts:
    """What the method of a fold run may know; ``seed`` is the run's."""
    level = config.trainer.label_hierarchy_level
    classes, labels = np.unique(index.labels[fold.train, level], return_inverse=True)
    return FoldFacts(
        widths=dict(widths),
        labels=labels.astype(np.int64),
        class_names=tuple(index.class_names[level][label] for label in classes),
        embedder_seed=seed_of(run=seed, purpose="embedder"),
    )


def build_method(config: ExperimentConfig, facts: FoldFacts, trunk: nn.Module, seed: int) -> Method:
    """The config's method with its initial weights: equal arguments give equal weights."""
    spec = ClassSpec.model_construct(name=config.trainer.name, args=freeze(config.trainer.args))
    with seeded(seed_of(run=seed, purpose="method")):
        method: Method = build("method", spec, config=config, facts=facts, trunk=trunk)
    return method
