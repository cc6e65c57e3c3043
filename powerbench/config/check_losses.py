"""Losses of pytorch-metric-learning that cannot work as they are, or not with what else the config holds."""

from __future__ import annotations

from typing import Any

from powerbench.config.merged import MergedConfig
from powerbench.config.schema import ExperimentConfig, thaw
from powerbench.config.yaml_text import flow
from powerbench.errors import UserError

MEMORY = "CrossBatchMemory"

UNUSABLE = {
    "DynamicSoftMarginLoss": "keeps the graph of the last batch in its histogram, so that its second step fails",
    "ManifoldLoss": "draws the classes that it learns at random and takes no labels",
}
"""In version 2.9."""


def check_loss(name: str, loss: Any, config: ExperimentConfig, merged: MergedConfig) -> None:
    """Raise UserError for a loss (called ``name``) that cannot work, as it is or with its miner and batch size."""
    spec = config.loss_funcs[name]
    if spec.name in UNUSABLE:
        where = merged.where(("loss_funcs", name, spec.name))
        raise UserError(f"{spec.name} {UNUSABLE[spec.name]}; take another loss.", where=where)
    if spec.name == MEMORY:
        _check_memory(name, loss, config, merged)


def _check_memory(name: str, loss: Any, config: ExperimentConfig, merged: MergedConfig) -> None:
    batch = config.trainer.batch_size * len(config.transforms.of_views())
    if loss.memory_size < batch:
        where = merged.where(("loss_funcs", name, MEMORY, "memory_size"))
        raise UserError(f"a memory of {loss.memory_size} does not hold a batch of {batch}.", where=where)
    of_level = name.replace("metric_loss", "tuple_miner")  # in a cascade
    for miner in dict.fromkeys((f"{name}_miner", "tuple_miner", of_level)):
        if miner in config.mining_funcs:
            raise _miner_of_batches(name, miner, config, merged)


def _miner_of_batches(loss: str, miner: str, config: ExperimentConfig, merged: MergedConfig) -> UserError:
    """Its places in the batch would be taken for places in the memory."""
    spec = config.mining_funcs[miner]
    inside = flow({"loss_funcs": {loss: {MEMORY: {"miner": {spec.name: thaw(spec.args)}}}}})
    advice = f"write {inside} and leave {miner} out"
    if miner == "tuple_miner" and len(config.loss_funcs) > 1:
        advice += ", or call the miner by the loss it serves (NAME_miner)"
    what = f"{miner} chooses pairs inside a batch, but {MEMORY} compares a batch with its memory; {advice}."
    return UserError(what, where=merged.where(("mining_funcs", miner)))
