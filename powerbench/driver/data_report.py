"""What the data of a config are, checked image by image."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from powerbench.errors import UserError
from powerbench.files import sha256_of

if TYPE_CHECKING:
    from powerbench.config.schema import ExperimentConfig
    from powerbench.datasets.contract import Dataset
    from powerbench.jobs import Places
    from split_managers.contract import DatasetIndex, Fold

SHOWN = 20


def data_report(config: ExperimentConfig, places: Places) -> Iterator[str]:
    """Lines about layout, counts, unreadable and grayscale images, duplicates, and the parts of every fold.

    Raises UserError, after the last line, if images cannot be read and are not to be left out.
    """
    from powerbench.classes import build
    from powerbench.datasets.checking import check_images
    from powerbench.datasets.opening import open_dataset, open_folds

    whole: Dataset = build("dataset", config.dataset, dataset_root=places.dataset_root)
    yield f"data: {config.dataset.name}: {getattr(whole, 'layout', '') or 'not read from files'}"
    yield f"      {_counted(whole.index, np.arange(len(whole.index)))}; checksum {whole.checksum[:16]}"
    check = check_images(whole, places.cache_dir)
    gray = check.modes.get("L", 0)
    yield f"      unreadable: {len(check.unreadable) or 'none'}; grayscale (used as RGB): {gray or 'none'}"
    for text in list(check.unreadable.values())[:SHOWN]:
        yield f"        {text}"
    if len(check.unreadable) > SHOWN:
        yield f"        and {len(check.unreadable) - SHOWN} more"
    yield from _duplicates(whole)
    usable = open_dataset(config, places)
    if len(usable.index) < len(whole.index):
        left_out = len(whole.index) - len(usable.index)
        yield f"      left out (skip_unreadable): {left_out}; checksum {usable.checksum[:16]}"
    for fold in open_folds(config, usable):
        yield from _parts(usable.index, fold, config.tester.label_hierarchy_level)
    if check.unreadable and not config.skip_unreadable:
        raise UserError(f"{len(check.unreadable)} images cannot be read; nothing would be trained (see above).")


def _counted(index: DatasetIndex, items: np.ndarray, level: int = 0) -> str:
    return f"{len(items)} images of {len(np.unique(index.labels[items, level]))} classes"


def _duplicates(dataset: Dataset) -> Iterator[str]:
    """Files with equal content, those under different classes by name: no model can tell them apart."""
    files: Sequence[Path] | None = getattr(dataset, "files", None)
    if files is None:
        return
    same_size = _grouped(range(len(files)), lambda n: files[n].stat().st_size).values()
    same = [_grouped(group, lambda n: sha256_of(files[n])).values() for group in same_size if len(group) > 1]
    groups = [group for found in same for group in found if len(group) > 1]
    apart = [group for group in groups if len(set(dataset.index.labels[group, 0].tolist())) > 1]
    copies = sum(len(group) - 1 for group in groups)
    yield f"      identical copies: {copies or 'none'}; groups with different classes: {len(apart) or 'none'}"
    for group in apart[:SHOWN]:
        yield f"        {', '.join(dataset.index.item_names[item] for item in group)}"


def _grouped(items: Any, key: Any) -> Mapping[Any, list[int]]:
    groups: dict[Any, list[int]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _parts(index: DatasetIndex, fold: Fold, level: int) -> Iterator[str]:
    """The sizes of a fold's parts, and how many classes each two of them share."""
    parts = {"train": fold.train, "val": fold.val, **{name: test.items() for name, test in fold.tests.items()}}
    yield f"fold {fold.name}: " + "; ".join(f"{name} {_counted(index, items, level)}" for name, items in parts.items())
    for name, test in fold.tests.items():
        if test.reference is not None:
            yield f"        {name}: {len(test.query)} queries against {len(test.reference)} references"
        if test.draws is not None:
            query, reference = test.draws[0]
            yield f"        {name}: {len(test.draws)} draws of {len(query)} queries against {len(reference)} references"
        if test.episodes is not None:
            yield f"        {name}: {len(test.episodes)} episodes with {len(test.episodes[0][0])} support images"
    classes = {name: set(index.labels[items, level].tolist()) for name, items in parts.items()}
    pairs = itertools.combinations(classes, 2)
    shared = (f"{first} and {second} {len(classes[first] & classes[second])}" for first, second in pairs)
    yield f"        shared classes: {', '.join(shared)}"
