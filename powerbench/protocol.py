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
from powerbench.evaluation.names import parsed
from powerbench.plan import Budget

if TYPE_CHECKING:
    from powerbench.config.schema import ExperimentConfig

SELECTION = "validation_best"
"""The epoch and the trial are chosen by the primary metric on the validation split."""

PLACES = ("root", "download", "sources", "file", "files", "images")
"""Arguments of datasets and split managers that say where files are: checksums say what is in them."""

NEVER_SEARCHED = frozenset(
    {
        *("dataset", "skip_unreadable", "split_manager", "splits_to_eval"),
        *("tester", "aggregator", "ensemble", "hook_container", "evaluation_metrics", "ties", "clustering"),
        *("check_untrained_accuracy", "skip_eval_if_already_done", "skip_ensemble_eval_if_already_done"),
        *("seed", "confidence", "include_best", "search_strategy", "first_trials", "parallel_trials"),
        *("device", "threads_per_run", "ranking_backend", "checkpoint_seconds", "keep_weights"),
        *("augment_on", "cache", "cache_gigabytes"),
    }
)
"""Top-level keys that say by what trials are judged, or how they are run: the same for all trials of a search."""

PROTOCOL_OPTIMIZERS = ("trunk_optimizer", "embedder_optimizer")
AMOUNTS = ("trials", "first_trials", "reproductions")
WAYS_OF_SEARCH = ("search_strategy", "search_version", "parallel_trials")
SEARCH_KEYS = (*AMOUNTS, *WAYS_OF_SEARCH)
"""Protocol keys that say how much was tried and how it was found, not under which conditions."""
OF_OPENED_DATA = ("dataset_checksum", "split_checksums", "trunk_weights", "skipped_images")
"""Protocol keys that only the opened data and weights tell, whatever the config says."""
SEARCH_VERSION = 3
"""Of what Ax is given to propose with: another one proposes other trials after the same results. A search that Ax's own
default proposed (1) has no such key."""
ANY = "any"
"""A way of search that makes no difference: nothing is searched, or a grid completely."""
SEARCHED = "searched"
"""What stands in place of a value that is searched: this key, with the range."""
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
    skipped: Sequence[str] | None = None,
    joined_embedders: int = 1,
    search_version: int | None = None,
) -> dict[str, Any]:
    """The protocol of an experiment: flat keys, plain values.

    ``dataset_checksum`` is ``None`` while the data are unknown (a plan made without them).
    ``weights`` identifies the trunk's initial weights. ``searched`` maps slash paths of searched
    parameters to their ranges: where such a parameter belongs to the protocol, its range stands
    in place of its value. ``skipped`` names the unreadable images that are left out, where that is allowed; the
    protocol then has a key more. A complete grid within the trials' budget counts as that budget.
    ``search_version``: of what Ax proposed with, the present one unless given.
    ``joined_embedders``: of how many embedders the measured embedding consists; more than one are a key more.
    """
    plain = _with_ranges(config.plain(), searched)
    complete_grid = config.search_strategy == "grid" and grid_size is not None and grid_size <= budget.trials

    trainer, tester = f"trainer/{config.trainer.name}", "tester/GlobalEmbeddingSpaceTester"
    ensemble, primary = "ensemble/ConcatenateEmbeddings", "hook_container/HookContainer/primary_metric"

    recipes = {"train": _of_views(plain["transforms"], config), "eval": plain["transforms"]["eval"]}

    def at(path: str) -> Any:
        return _value_at(plain, path)

    protocol: dict[str, Any] = {
        "dataset": _without_places(plain["dataset"]),
        "dataset_checksum": dataset_checksum,
        "split_manager": _without_places(plain["split_manager"]),
        "split_checksums": list(split_checksums),
        "trunk": _without_weights_file(plain["models"]["trunk"]),
        "trunk_weights": weights,
        "freeze_trunk": plain["freeze_trunk"],
        "embedder": plain["models"]["embedder"],
        "batch_size": at(f"{trainer}/batch_size"),
        "iterations_per_epoch": at(f"{trainer}/iterations_per_epoch"),
        "freeze_trunk_batchnorm": at(f"{trainer}/freeze_trunk_batchnorm"),
        "label_hierarchy_level": [at(f"{trainer}/label_hierarchy_level"), at(f"{tester}/label_hierarchy_level")],
        "num_epochs_train": plain["num_epochs_train"],
        "save_interval": plain["save_interval"],
        "patience": plain["patience"],
        "untrained_is_a_candidate": plain["check_untrained_accuracy"],
        "transforms": recipes,
        "transform_order": _order(recipes),
        "views": plain["views"],
        "precision": plain["precision"],
        "primary_metric": at(primary),
        "ties": plain["ties"],
        "normalize_embeddings": [at(f"{tester}/normalize_embeddings"), at(f"{ensemble}/normalize_embeddings")],
        "use_trunk_output": [at(f"{tester}/use_trunk_output"), at(f"{ensemble}/use_trunk_output")],
        "pca": at(f"{tester}/pca"),
        "reference_set": at(f"{tester}/reference_set"),
        "selection": SELECTION,
        "trials": budget.trials,
        "first_trials": len(config.first_trials) if budget.trials else 0,
        "reproductions": len(budget.reproductions),
        "search_strategy": ANY if complete_grid or not budget.trials else config.search_strategy,
        "parallel_trials": ANY if complete_grid or not budget.trials else config.parallel_trials,
    }
    if joined_embedders > 1:
        protocol["joined_embedders"] = joined_embedders
    version = search_version or SEARCH_VERSION
    if protocol["search_strategy"] == "ax" and version > 1:
        protocol["search_version"] = version
    if config.skip_unreadable:
        protocol["skipped_images"] = None if skipped is None else sorted(skipped)
    for name in PROTOCOL_OPTIMIZERS:
        protocol[name] = plain["optimizers"].get(name)
    if config.freeze_trunk:  # a frozen trunk is trained by nobody
        protocol["trunk_optimizer"] = None
    if any(parsed(name).family == "clustering" for name in (at(primary), *config.evaluation_metrics)):
        protocol["clustering"] = plain["clustering"]
    return protocol


def refuse_searched_conditions(wheres: Mapping[str, str]) -> None:
    """Raise a :class:`UserError` if a search would choose what its own trials are judged by.

    ``wheres``: the slash path of each searched parameter, and where it was set. Trials on different splits could even
    train on each other's test classes.
    """
    for path, where in wheres.items():
        keys = path.split("/")
        if keys[0] in NEVER_SEARCHED or keys[-1] == "label_hierarchy_level":
            raise UserError(
                f"{path} cannot be searched: all trials of a search are judged by the same data, splits and measure, "
                "and run in the same way. Give it one value.",
                where=where,
            )


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
    the method changed, the paths of its settings are named. A larger budget is no change, another way to search is.
    """
    not_searched = WAYS_OF_SEARCH if ANY in (before.get("search_strategy"), now.get("search_strategy")) else ()
    changed = differences(before, now, ignoring=(*AMOUNTS, *not_searched, CHANGED_MIDWAY)) or method_changes
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
        node[last] = {SEARCHED: bounds}
    return plain


def _of_views(transforms: Mapping[str, Any], config: ExperimentConfig) -> Any:
    """The recipe of training images; where each view has its own, a list of them unless they are all the same."""
    recipes = [transforms[name] for name in config.transforms.of_views()]
    orders = [(list(recipe), recipe) for recipe in recipes]
    return recipes[0] if all(order == orders[0] for order in orders) else recipes


def _order(recipes: Mapping[str, Any]) -> dict[str, Any]:
    """The names of each recipe's transforms: a JSON object would not tell their order apart."""
    return {
        part: [list(each) for each in recipe] if isinstance(recipe, list) else list(recipe)
        for part, recipe in recipes.items()
    }


def _value_at(plain: Mapping[str, Any], path: str) -> Any:
    """The value at a slash path, or the range of what is searched there or above."""
    node: Any = plain
    for key in path.split("/"):
        if isinstance(node, Mapping) and SEARCHED in node:
            break
        node = node[key]
    return node


def _without_places(spec: Any) -> Any:
    """A class and its arguments, nested classes included, without those that only say where something lies."""
    if not isinstance(spec, Mapping):
        return spec
    return {key: _without_places(value) for key, value in spec.items() if key not in PLACES}


def _without_weights_file(trunk: Mapping[str, Any]) -> dict[str, Any]:
    """A trunk's arguments without the place of its weights file, which is identified by its hash."""

    def known(key: str, value: Any) -> Any:
        return "a file" if key == "weights" and isinstance(value, str) and value.endswith((".pth", ".pt")) else value

    return {
        name: {key: known(key, value) for key, value in args.items()} if isinstance(args, Mapping) else args
        for name, args in trunk.items()
    }
