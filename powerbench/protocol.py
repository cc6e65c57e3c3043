"""What two results must have in common to stand in one table, and the rules that refuse the rest.

The *method* (losses, miners, their optimisers, the sampler, the trainer and its own arguments) is what
is compared. Everything else that can change a number is the *protocol*. Device, memory layout, threads
and file locations are the *environment*: recorded, reported, and not part of the fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from powerbench.errors import UserError
from powerbench.plan import Budget

if TYPE_CHECKING:
    from powerbench.config.schema import ExperimentConfig

SELECTION = "validation_best"
"""The epoch and the trial are chosen by the primary metric on the validation split."""

PROTOCOL_OPTIMIZERS = ("trunk_optimizer", "embedder_optimizer")
SEARCH_KEYS = ("trials", "first_trials", "reproductions", "search_strategy", "parallel_trials")
"""Protocol keys that say how much was tried, not under which conditions."""
CHANGED_MIDWAY = "changed_midway"
"""Protocol key of an experiment that holds results from before and after a change: the keys that changed."""


def protocol_of(
    config: ExperimentConfig,
    budget: Budget,
    *,
    dataset_checksum: str | None,
    split_checksums: Sequence[str],
    weights: str,
    searched: Mapping[str, Any],
    grid_size: int | None = None,
) -> dict[str, Any]:
    """The protocol of an experiment: flat keys, plain values.

    ``dataset_checksum`` is ``None`` while the data are unknown (a plan made without them).
    ``weights`` identifies the trunk's initial weights. ``searched`` maps slash paths of searched
    parameters to their ranges: where such a parameter belongs to the protocol, its range stands
    in place of its value. A complete grid within the trials' budget counts as that budget.
    """
    plain = _with_ranges(config.plain(), searched)
    trainer = plain["trainer"][config.trainer.name]
    complete_grid = config.search_strategy == "grid" and grid_size is not None and grid_size <= budget.trials
    protocol: dict[str, Any] = {
        "dataset": _without_places(plain["dataset"]),
        "dataset_checksum": dataset_checksum,
        "split_manager": plain["split_manager"],
        "split_checksums": list(split_checksums),
        "trunk": plain["models"]["trunk"],
        "trunk_weights": weights,
        "freeze_trunk": config.freeze_trunk,
        "embedder": plain["models"]["embedder"],
        "batch_size": trainer["batch_size"],
        "iterations_per_epoch": trainer["iterations_per_epoch"],
        "freeze_trunk_batchnorm": config.trainer.freeze_trunk_batchnorm,
        "label_hierarchy_level": [config.trainer.label_hierarchy_level, config.tester.label_hierarchy_level],
        "num_epochs_train": plain["num_epochs_train"],
        "save_interval": plain["save_interval"],
        "patience": plain["patience"],
        "untrained_is_a_candidate": config.check_untrained_accuracy,
        "transforms": {part: plain["transforms"][part] for part in ("train", "eval")},
        "transform_order": {part: list(plain["transforms"][part]) for part in ("train", "eval")},
        "views": config.views,
        "precision": config.precision,
        "primary_metric": config.hook_container.primary_metric,
        "ties": config.ties,
        "normalize_embeddings": [config.tester.normalize_embeddings, config.ensemble.normalize_embeddings],
        "use_trunk_output": [config.tester.use_trunk_output, config.ensemble.use_trunk_output],
        "pca": config.tester.pca,
        "reference_set": config.tester.reference_set,
        "selection": SELECTION,
        "trials": budget.trials,
        "first_trials": len(config.first_trials) if budget.trials else 0,
        "reproductions": len(budget.reproductions),
        "search_strategy": "any" if complete_grid or not budget.trials else config.search_strategy,
        "parallel_trials": "any" if complete_grid or not budget.trials else config.parallel_trials,
    }
    for name in PROTOCOL_OPTIMIZERS:
        protocol[name] = plain["optimizers"].get(name)
    if config.freeze_trunk:  # a frozen trunk is trained by nobody
        protocol["trunk_optimizer"] = None
    return protocol


def fingerprint(protocol: Mapping[str, Any]) -> str:
    """A short hash of a protocol; equal fingerprints mean comparable results."""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:16]


def differences(first: Mapping[str, Any], second: Mapping[str, Any], *, ignoring: Sequence[str] = ()) -> list[str]:
    """The protocol keys whose values differ, in the first one's order."""
    keys = [key for key in {**first, **second} if key not in ignoring]
    absent = object()
    differing = [key for key in keys if first.get(key, absent) != second.get(key, absent)]
    if "split_manager" in differing and "split_checksums" in differing:
        differing.remove("split_checksums")  # a consequence
    return differing


def continued(before: Mapping[str, Any], now: Mapping[str, Any], method_changes: Sequence[str] = ()) -> dict[str, Any]:
    """The protocol of an experiment that has results under ``before`` and goes on under ``now``.

    Keys that changed are named in it for good, so that mixed results never stand beside unmixed ones; where only
    the method changed, the paths of its settings are named.
    """
    changed = differences(before, now, ignoring=(*SEARCH_KEYS, CHANGED_MIDWAY)) or method_changes
    keys = sorted({*before.get(CHANGED_MIDWAY, ()), *changed})
    return {**now, CHANGED_MIDWAY: keys} if keys else dict(now)


def refuse_unfair(protocols: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise a :class:`UserError` that names the differing keys unless all protocols agree."""
    names = list(protocols)
    for name in names[1:]:
        keys = differences(protocols[names[0]], protocols[name])
        if keys:
            raise UserError(
                f"{names[0]} and {name} are not comparable: their protocols differ in {', '.join(keys)}. "
                "Results stand in one table only if everything but the method is equal."
            )


def _with_ranges(plain: dict[str, Any], searched: Mapping[str, Any]) -> dict[str, Any]:
    for path, bounds in searched.items():
        *parents, last = path.split("/")
        node: Any = plain
        for parent in parents:
            node = node[parent]
        node[last] = {"searched": bounds}
    return plain


def _without_places(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset's arguments without those that only say where it lies or how it got there."""
    return {
        name: {key: value for key, value in args.items() if key not in ("root", "download")}
        for name, args in dataset.items()
    }
