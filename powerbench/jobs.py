"""The units of work and what comes back: frozen values that survive a trip through JSON.

A driver makes jobs, an executor runs them somewhere, and the driver records the
results. No job or result refers to an object of a running process.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

UNTRAINED_TRUNK = "untrained_trunk"
UNTRAINED_TRUNK_AND_EMBEDDER = "untrained_trunk_and_embedder"
TRAINED = "trained"
WEIGHTS = (UNTRAINED_TRUNK, UNTRAINED_TRUNK_AND_EMBEDDER, TRAINED)
"""What was evaluated, in the order tables show it."""

SEPARATE = "separate"
CONCATENATED = "concatenated"
MODES = (SEPARATE, CONCATENATED)

PINNED_TO = "POWERBENCH_PINNED_TO"
"""Environment variable of a worker process: the GPU that it was told to use."""

UNTRAINED_EPOCHS = {UNTRAINED_TRUNK: -1, UNTRAINED_TRUNK_AND_EMBEDDER: 0}
"""The epoch numbers under which untrained weights are recorded."""

FailureKind = Literal["nan", "diverged", "out_of_memory", "error"]


@dataclass(frozen=True)
class Measurement:
    """One metric of one fold run: ``epoch`` is that of the weights that were measured."""

    split: str
    epoch: int
    weights: str
    metric: str
    value: float


@dataclass(frozen=True)
class LossValue:
    """The mean of a named loss over the iterations of an epoch."""

    epoch: int
    name: str
    value: float


@dataclass(frozen=True)
class Failure:
    """Why a job gave no result."""

    kind: FailureKind
    message: str


@dataclass(frozen=True)
class Places:
    """Where a job finds its inputs; none of it can change a result."""

    dataset_root: str
    cache_dir: str
    pytorch_home: str | None = None


@dataclass(frozen=True)
class TrainJob:
    """Train one trial on one fold. ``folder`` receives the checkpoint and the best weights."""

    config: Mapping[str, Any]
    fold: int
    seed: int
    folder: str
    places: Places
    kind: Literal["train"] = "train"


@dataclass(frozen=True)
class TrainResult:
    """What a fold run measured. ``best_epoch`` 0 means that training never beat the untrained embedder."""

    fold_name: str
    split_checksum: str
    best_epoch: int
    best_value: float
    epochs: int
    iterations: int
    seconds: float
    model_seconds: float
    measurements: tuple[Measurement, ...]
    losses: tuple[LossValue, ...]
    environment: Mapping[str, Any]
    failure: Failure | None = None


@dataclass(frozen=True)
class FoldModel:
    """A trained fold: its folder of weights, its seed (which gives the untrained weights), its best epoch."""

    fold: int
    seed: int
    folder: str
    best_epoch: int


@dataclass(frozen=True)
class EvaluateJob:
    """Evaluate a trial's fold models on ``splits``, one by one and (or) concatenated."""

    config: Mapping[str, Any]
    models: tuple[FoldModel, ...]
    splits: tuple[str, ...]
    modes: tuple[str, ...]
    places: Places
    kind: Literal["evaluate"] = "evaluate"


@dataclass(frozen=True)
class SeparateValue:
    """A metric of one fold's model on one split."""

    fold: int
    split: str
    epoch: int
    weights: str
    metric: str
    value: float


@dataclass(frozen=True)
class ConcatenatedValue:
    """A metric of the joined embeddings of all folds' models on one split."""

    split: str
    weights: str
    metric: str
    value: float


@dataclass(frozen=True)
class EvaluateResult:
    """Everything an evaluation measured."""

    separate: tuple[SeparateValue, ...] = ()
    concatenated: tuple[ConcatenatedValue, ...] = ()
    seconds: float = 0.0
    environment: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None


Job = TrainJob | EvaluateJob
Result = TrainResult | EvaluateResult


def to_json(value: Job | Result) -> str:
    """A job or a result as JSON text; floats keep every bit."""
    return json.dumps({"type": type(value).__name__, **dataclasses.asdict(value)}, default=_plain)


def job_from_json(text: str) -> Job:
    """The job that :func:`to_json` wrote."""
    data = json.loads(text)
    data["places"] = Places(**data["places"])
    if data.pop("type") == "TrainJob":
        return TrainJob(**data)
    data["models"] = tuple(FoldModel(**model) for model in data["models"])
    return EvaluateJob(**{**data, "splits": tuple(data["splits"]), "modes": tuple(data["modes"])})


def result_from_json(text: str) -> Result:
    """The result that :func:`to_json` wrote."""
    data = json.loads(text)
    if data["failure"] is not None:
        data["failure"] = Failure(**data["failure"])
    if data.pop("type") == "TrainResult":
        data["measurements"] = tuple(Measurement(**row) for row in data["measurements"])
        data["losses"] = tuple(LossValue(**row) for row in data["losses"])
        return TrainResult(**data)
    data["separate"] = tuple(SeparateValue(**row) for row in data["separate"])
    data["concatenated"] = tuple(ConcatenatedValue(**row) for row in data["concatenated"])
    return EvaluateResult(**data)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot stand in a job or a result")
