"""Checkpoints of a fold run, its best weights and its result: each file is whole or absent.

A checkpoint and a result carry a key (a hash of the setting), so that those of another setting are never
continued. The result file stays until whoever asked for the run has recorded it and removes it: a run that
was finished but not recorded is not trained again.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from powerbench.config.free import without_free
from powerbench.config.schema import thaw
from powerbench.config.user_files import wherever_they_lie
from powerbench.evaluation.weights import best_weights_file
from powerbench.files import write_atomic
from powerbench.jobs import TrainJob, TrainResult, result_from_json, to_json

CHECKPOINT, RESULT = "checkpoint.pth", "result.json"

_TORN = (
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(pickle.UnpicklingError, struct.error),
)
"""What torch.load and json raise for files that are cut, mixed up or of another format."""

log = logging.getLogger(__name__)


def run_key(job: TrainJob, **facts: str) -> str:
    """The hash of everything that decides what a fold run computes; ``facts``: checksums of its inputs."""
    config = wherever_they_lie(without_free(thaw(job.config)))
    setting = {"config": config, "fold": job.fold, "seed": job.seed, **facts}
    return hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()


def save_checkpoint(folder: Path, key: str, content: Mapping[str, Any]) -> None:
    """Replace the checkpoint."""
    _save(folder / CHECKPOINT, {"key": key, **content})


def load_checkpoint(folder: Path, key: str) -> dict[str, Any] | None:
    """The checkpoint of this setting, on the CPU; None (with a warning where there is a file) if there is none."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    file = io.BytesIO(path.read_bytes())
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        found = content["key"]
    except _TORN as error:
        log.warning("%s cannot be read (%s): this fold starts afresh.", path, type(error).__name__)
        return None
    if found != key:
        log.warning("%s belongs to another setting: this fold starts afresh.", path)
        return None
    return content


def finish(folder: Path, key: str, result: TrainResult, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write the best weights, then the result; the checkpoint goes last. A result of another setting goes first."""
    (folder / RESULT).unlink(missing_ok=True)
    for module, state in weights.items():
        _save(best_weights_file(folder, module), dict(state))
    write_atomic(folder / RESULT, json.dumps({"key": key, "result": to_json(result)}))
    remove_checkpoint(folder)


def _save(path: Path, content: Mapping[str, Any]) -> None:
    """Write what torch makes of ``content``. Raises OSError for a full disk, which torch hides in a RuntimeError."""

    def write(file: BinaryIO) -> None:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise

    write_atomic(path, write)


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint if there is one."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def load_result(folder: Path, key: str, modules: tuple[str, ...]) -> TrainResult | None:
    """The result of this setting, if the run was finished and its best weights are still there."""
    path = folder / RESULT
    if not path.is_file() or not all(best_weights_file(folder, module).is_file() for module in modules):
        return None
    try:
        content = json.loads(path.read_bytes())
        result = result_from_json(content["result"]) if content["key"] == key else None
    except _TORN as error:
        log.warning("%s cannot be read (%s): this fold is trained again.", path, type(error).__name__)
        return None
    return result if isinstance(result, TrainResult) else None
