"""Config keys of powerful-benchmarker 0.9.x as changes of today's default config, in the config language.

Up to 0.9.25 the settings of trainer, tester and split were top-level keys of their own; later ones have today's names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from powerbench.config.categories import category_of
from powerbench.config.keys import parse_key
from powerbench.errors import UserError
from powerbench.legacy.losses import modern_losses, modern_miners
from powerbench.legacy.methods import published_method

_TRAINER = {
    "iterations_per_epoch": "iterations_per_epoch",
    "dataloader_num_workers": "dataloader_num_workers",
    "label_hierarchy_level": "label_hierarchy_level",
    "batch_size": "batch_size",
    "freeze_batchnorm": "freeze_trunk_batchnorm",
    "loss_weights": "loss_weights",
    "set_min_label_to_zero": "set_min_label_to_zero",
    "metric_alone_epochs": "metric_alone_epochs",
    "g_alone_epochs": "g_alone_epochs",
    "g_triplets_per_anchor": "g_triplets_per_anchor",
}
_TESTER = {
    "eval_reference_set": "reference_set",
    "eval_normalize_embeddings": "normalize_embeddings",
    "eval_use_trunk_output": "use_trunk_output",
    "eval_batch_size": "batch_size",
    "eval_dataloader_num_workers": "dataloader_num_workers",
    "eval_pca": "pca",
    "eval_accuracy_calculator": "accuracy_calculator",
    "label_hierarchy_level": "label_hierarchy_level",
}
_ENSEMBLE = {"eval_normalize_embeddings": "normalize_embeddings", "eval_use_trunk_output": "use_trunk_output"}
_HOOKS = {"eval_primary_metric": "primary_metric"}
_CUT = ("test_size", "test_start_idx", "num_training_partitions", "num_training_sets")
_META_TESTERS = ("ConcatenateEmbeddings", "SeparateEmbeddings", "meta_ConcatenateEmbeddings", "meta_SeparateEmbeddings")
_CLASSES = {"training_method": "trainer", "testing_method": "tester"}
_WITH_ARGUMENTS = {"trainer": _TRAINER, "tester": _TESTER, "ensemble": _ENSEMBLE, "hook_container": _HOOKS}
_SPECIAL = "special_split_scheme_name"
_OF_CUTS = (*_CUT, "hierarchy_level", "data_and_label_getter_keys", "shuffle", "random_seed")


@dataclass(frozen=True)
class OldKey:
    """The value of a top-level key, and the file that it was read from."""

    value: Any
    file: str


@dataclass(frozen=True)
class Change:
    """One key of the config language to merge into today's config. ``source``: the file and the old key."""

    key: str
    value: Any
    source: str


@dataclass
class Translation:
    """The changes in order, and what the user should know of them."""

    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, key: str, value: Any, source: str) -> None:
        """Add a change."""
        self.changes.append(Change(key, value, source))


def translate(old: Mapping[str, OldKey], replaced: frozenset[str] = frozenset()) -> Translation:
    """The changes that turn today's default config into the old one.

    ``replaced``: today's top-level keys that the command line gives anew, so that an old value without an equivalent
    does not matter there. Raises :class:`UserError`, naming file and key, for such a value elsewhere.
    """
    found = Translation()
    taken = {name for rule in _RULES for name in rule(old, replaced, found)}
    for raw, key in old.items():
        if raw not in taken:
            _direct(raw, key, found)
    _moved_arguments(old, found)
    _as_published(old, replaced, found)
    return found


def _classes(old: Mapping[str, OldKey], replaced: frozenset[str], found: Translation) -> list[str]:
    """``training_method: T`` and ``testing_method: T``: a class without its arguments."""
    for name in _CLASSES:
        if name in old:
            value = old[name].value
            where = f"{old[name].file}, {name}"
            if not isinstance(value, str):
                raise UserError(f"expected the name of a class, not {value!r}.", where=where)
            found.add(f"{_CLASSES[name]}~SWAP~1", {value: None}, f"{old[name].file} ({name})")
    return list(_CLASSES)


def _split(old: Mapping[str, OldKey], replaced: frozenset[str], found: Translation) -> list[str]:
    """The cut that was the only one, and the special schemes. It is MLRCSplitManager's now."""
    special = old.get(_SPECIAL)
    cut = {name: old[name] for name in _CUT if name in old}
    if special is not None and special.value == "predefined":
        found.add(
            "split_manager~OVERRIDE~", {"PredefinedSplitManager": {"num_training_sets": 1}}, _source(old, _SPECIAL)
        )
    elif special is not None and special.value is not None and "split_manager" not in replaced:
        raise UserError(
            f"{special.value!r} has no equivalent here (predefined has; old_approach trained on the first half of the "
            "classes, validated on the second, and had no test set): give a split on the command line, as in "
            "--split_manager~OVERRIDE~ {MLRCSplitManager: {}}.",
            where=f"{special.file}, {_SPECIAL}",
        )
    elif cut:
        arguments = {name: key.value for name, key in cut.items()}
        files = ", ".join(dict.fromkeys(key.file for key in cut.values()))
        found.add("split_manager~OVERRIDE~", {"MLRCSplitManager": arguments}, f"{files} ({', '.join(cut)})")
    return [*_CUT, _SPECIAL]


def _meta(old: Mapping[str, OldKey], replaced: frozenset[str], found: Translation) -> list[str]:
    """What became aggregator and ensemble; both are always there now."""
    key = old.get("meta_testing_method")
    names = key.value if key is not None else None
    for name in names if isinstance(names, list) else [names]:
        if name is not None and name not in _META_TESTERS:
            assert key is not None
            what = (
                f"there is no such way to evaluate folds together: {name!r} (there were: {', '.join(_META_TESTERS)})."
            )
            raise UserError(what, where=f"{key.file}, meta_testing_method")
    return ["meta_testing_method"]


def _renamed(old: Mapping[str, OldKey], replaced: frozenset[str], found: Translation) -> list[str]:
    name = "skip_meta_eval_if_already_done"
    if name in old:
        found.add("skip_ensemble_eval_if_already_done", old[name].value, _source(old, name))
    return [name, "eval_size_of_tsne"]


def _several_datasets(old: Mapping[str, OldKey], replaced: frozenset[str], found: Translation) -> list[str]:
    key = old.get("multi_dataset")
    if key is not None and key.value and "dataset" not in replaced:
        raise UserError(
            "several datasets in one experiment have no equivalent here: give one on the command line, as in "
            "--dataset~OVERRIDE~ {CUB200: {}}.",
            where=f"{key.file}, multi_dataset",
        )
    return ["multi_dataset"]


def _arguments(old: Mapping[str, OldKey], replaced: frozenset[str], found: Translation) -> list[str]:
    return [name for names in _WITH_ARGUMENTS.values() for name in names]


Rule = Callable[[Mapping[str, OldKey], frozenset[str], Translation], list[str]]
_RULES: tuple[Rule, ...] = (_classes, _split, _meta, _renamed, _several_datasets, _arguments)
"""Each adds its changes and names the old keys that it takes, whether they are there or not."""


def _direct(raw: str, key: OldKey, found: Translation) -> None:
    """A key that has kept its name."""
    name = parse_key(raw, key.file).name
    value, source = key.value, key.file
    if name == "loss_funcs":
        value = modern_losses(value, source, found.notes)
    elif name == "mining_funcs":
        value = modern_miners(value)
    elif name == "dataset":
        value = _without_absent_root(value, source, found.notes)
    elif name == "split_manager":
        value = _one_predefined_fold(value)
    plain = raw == name and category_of(name) is not None
    found.add(f"{name}~OVERRIDE~" if plain else raw, value, source)


def _moved_arguments(old: Mapping[str, OldKey], found: Translation) -> None:
    """Settings that were top-level keys go to the arguments of the class that has them now.

    Beside today's key they had no effect.
    """
    for target, names in _WITH_ARGUMENTS.items():
        for name in names if target not in old else ():
            if name in old:
                found.add(f"{target}~APPLY~2", {names[name]: old[name].value}, _source(old, name))


def _as_published(old: Mapping[str, OldKey], replaced: frozenset[str], found: Translation) -> None:
    """The settings that make a method what it was; none where the command line gives the key anew."""
    file = next((old[name].file for name in ("trainer", "training_method") if name in old), "")
    for key, value, note in published_method({name: old_key.value for name, old_key in old.items()}):
        if key.partition("~")[0] not in replaced:
            found.add(key, value, file)
            found.notes.append(f"{file}: {note}")


def _source(old: Mapping[str, OldKey], name: str) -> str:
    return f"{old[name].file} ({name})"


def _without_absent_root(value: Any, file: str, notes: list[str]) -> Any:
    """A dataset without the place where it lay on its author's machine."""
    if not isinstance(value, Mapping):
        return value
    changed = {}
    for name, arguments in value.items():
        root = arguments.get("root") if isinstance(arguments, Mapping) else None
        if isinstance(root, str) and not Path(root).expanduser().exists():
            notes.append(f"{file}: the root of {name}, {root}, does not exist here; it is sought under --dataset_root.")
            arguments = {key: item for key, item in arguments.items() if key != "root"}
        changed[name] = arguments
    return changed


def _one_predefined_fold(value: Any) -> Any:
    """The old manager of that name made one fold, PredefinedSplitScheme_0; a swapped name kept arguments of cuts."""
    if not isinstance(value, Mapping) or set(value) != {"PredefinedSplitManager"}:
        return value
    own = value["PredefinedSplitManager"] or {}
    kept = {key: item for key, item in own.items() if key not in _OF_CUTS} if isinstance(own, Mapping) else {}
    return {"PredefinedSplitManager": {**kept, "num_training_sets": 1}}
