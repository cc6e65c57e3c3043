"""A progression of train/test splits of growing distribution shift: what it holds, and its two file formats.

JSON is ours. A pickle is how ooDML (Milbich, Roth et al. 2021) publishes its progressions; it is read by a reader that
runs nothing (:mod:`split_managers.published_pickle`), and written on request.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from split_managers.published_pickle import read_pickle

FORMAT = "powerbench split progression"
ClassName = str | int
"""A class by name, or, in the published SOP files, by its number from 1 on."""

Support = Mapping[ClassName, tuple[str, ...]] | tuple[ClassName, ...]
"""The support of an episode: names of samples by class, or whole classes."""


@dataclass(frozen=True)
class HardnessSplit:
    """One split. fid: the distance between training and test classes. raw_id: how it came about, e.g. ``R18``.

    split_train, split_val: the training classes cut for validation. episodes: by shots, one support an episode.
    """

    fid: float
    train: tuple[ClassName, ...]
    test: tuple[ClassName, ...]
    split_train: tuple[ClassName, ...]
    split_val: tuple[ClassName, ...]
    episodes: Mapping[int, tuple[Support, ...]] = field(default_factory=dict)
    raw_id: str = ""

    def __post_init__(self) -> None:
        for name, parts in (
            ("training and test", (self.train, self.test)),
            ("split", (self.split_train, self.split_val)),
        ):
            if set(parts[0]) & set(parts[1]) or any(len(set(part)) != len(part) for part in parts):
                raise ValueError(f"the {name} classes overlap, or name a class twice")
        if not math.isfinite(self.fid):
            raise ValueError(f"the distance is {self.fid}")


@dataclass(frozen=True)
class Progression:
    """Splits by public id, from 1 on. made: how they were made, as text by name."""

    splits: Mapping[int, HardnessSplit]
    made: Mapping[str, Any] = field(default_factory=dict)


def read_progression(path: Path) -> Progression:
    """A progression from a JSON file or from a published pickle. ValueError if it is neither, or is inconsistent."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        if content.lstrip()[:1] == b"{":
            data = json.loads(content)
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise ValueError(f"it is no {FORMAT}")
            return Progression(_splits(data["splits"]), _made(data.get("made", {})))
        return Progression(_splits(read_pickle(content)), {"file": "a published pickle"})
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: a part is missing or has another form than expected: {error!r}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def to_json(progression: Progression) -> str:
    """The JSON text of a progression."""
    splits = {str(number): _plain(split) | {"raw_id": split.raw_id} for number, split in progression.splits.items()}
    return json.dumps({"format": FORMAT, "made": dict(progression.made), "splits": splits}, indent=1) + "\n"


def to_pickle(progression: Progression) -> bytes:
    """The published layout: a dict by id, as a pickle of plain values (protocol 3, as published)."""
    return pickle.dumps({number: _plain(split) for number, split in progression.splits.items()}, protocol=3)


def _plain(split: HardnessSplit) -> dict[str, Any]:
    episodes = {
        shots: {
            number: {name: list(samples) for name, samples in support.items()}
            if isinstance(support, Mapping)
            else list(support)
            for number, support in enumerate(supports)
        }
        for shots, supports in split.episodes.items()
    }
    return {
        "train": list(split.train),
        "test": list(split.test),
        "fid": split.fid,
        "split_train": list(split.split_train),
        "split_val": list(split.split_val),
        "test_episodes": episodes,
    }


def _made(value: Any) -> dict[str, Any]:
    """How splits were made, where what is shown of it has its form."""
    if not isinstance(value, dict):
        raise ValueError("'made' is no mapping")
    if not isinstance(value.get("shots_left_out", []), list):
        raise ValueError("'shots_left_out' is no list")
    walked = value.get("walk", [])
    if not isinstance(walked, list) or not all(map(_is_step, walked)):
        raise ValueError("'walk' is no list of [raw id, distance, number of classes]")
    return value


def _is_step(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    return isinstance(value[1], int | float) and isinstance(value[2], int)


def _splits(data: Any) -> dict[int, HardnessSplit]:
    if not isinstance(data, dict) or not data:
        raise ValueError("it holds no splits")
    return {int(number): _split(value) for number, value in data.items()}


def _split(value: dict[str, Any]) -> HardnessSplit:
    return HardnessSplit(
        fid=float(value["fid"]),
        train=_names(value["train"]),
        test=_names(value["test"]),
        split_train=_names(value["split_train"]),
        split_val=_names(value["split_val"]),
        episodes={
            int(shots): tuple(_support(supports[key]) for key in sorted(supports, key=int))
            for shots, supports in value.get("test_episodes", {}).items()
        },
        raw_id=str(value.get("raw_id", "")),
    )


def _support(value: Any) -> Support:
    if isinstance(value, dict):
        return {
            name: tuple(map(str, _names(samples)))
            for name, samples in zip(_names(list(value)), value.values(), strict=True)
        }
    return _names(value)


def _names(values: Sequence[Any]) -> tuple[ClassName, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str | int) for value in values):
        raise ValueError("expected lists of class names")
    return tuple(values)
