"""What the store gives back: frozen rows of plain values. Times are ISO 8601 text in UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

TrialKind = Literal["search", "reproduction", "single"]
State = Literal["running", "done", "failed"]
Mode = Literal["separate", "concatenated"]
Sample = Literal["reproductions", "include_best", "best_trial", "single"]


@dataclass(frozen=True)
class ExperimentRow:
    """A named folder: its merged config, its protocol, its budget."""

    id: int
    name: str
    config: Any
    config_hash: str
    protocol: Any
    protocol_fingerprint: str
    seed: int
    budget: Any
    folder: str
    created: str


@dataclass(frozen=True)
class TrialRow:
    """One setting, trained on every fold. ``mean`` and ``sem`` are of the primary metric over folds."""

    id: int
    experiment_id: int
    kind: TrialKind
    number: int
    parameters: dict[str, Any]
    state: State
    error_kind: str | None
    error: str | None
    mean: float | None
    sem: float | None
    proposal: Any
    started: str
    finished: str | None

    @property
    def label(self) -> str:
        """The trial as commands and logs write it: ``search:3``."""
        return f"{self.kind}:{self.number}"


@dataclass(frozen=True)
class RunRow:
    """One trial on one fold. ``folder`` is relative to the experiment's folder; what was not measured is ``None``."""

    id: int
    trial_id: int
    fold: int
    fold_name: str | None
    seed: int
    split_checksum: str | None
    state: State
    best_epoch: int | None
    best_value: float | None
    epochs: int | None
    iterations: int | None
    seconds: float | None
    model_seconds: float | None
    folder: str
    environment_id: int | None
    error_kind: str | None
    error: str | None
    started: str
    finished: str | None


@dataclass(frozen=True)
class MeasurementRow:
    """A metric of one fold run's weights as they were at an epoch."""

    run_id: int
    split: str
    epoch: int
    weights: str
    metric: str
    value: float


@dataclass(frozen=True)
class LossRow:
    """The mean of a named loss over an epoch of a fold run."""

    run_id: int
    epoch: int
    name: str
    value: float


@dataclass(frozen=True)
class EvaluationRow:
    """A metric of a trial: the folds' mean with its SEM (separate), or of their joined embeddings."""

    trial_id: int
    split: str
    mode: Mode
    weights: str
    metric: str
    value: float
    sem: float | None
    environment_id: int | None


@dataclass(frozen=True)
class SummaryRow:
    """A metric of an experiment over ``n`` trainings; which ones, ``sample`` says. No interval below two."""

    experiment_id: int
    split: str
    mode: Mode
    weights: str
    metric: str
    n: int
    mean: float
    sem: float | None
    ci_low: float | None
    ci_high: float | None
    confidence: float
    sample: Sample

    @property
    def half_width(self) -> float | None:
        """Half the interval's width."""
        return None if self.ci_high is None else self.ci_high - self.mean


@dataclass(frozen=True)
class EnvironmentRow:
    """Versions, hardware and source state under which something was measured."""

    id: int
    hash: str
    content: dict[str, Any]


@dataclass(frozen=True)
class LeaseRow:
    """Who drives an experiment. ``since`` and ``heartbeat`` are seconds since 1970, by the driver's clock."""

    experiment_id: int
    token: str
    host: str
    machine: str
    pid: int
    process_started: str | None
    since: float
    heartbeat: float


def best_trial(trials: Iterable[TrialRow]) -> TrialRow | None:
    """The search trial with the highest mean; of equal ones the earliest. Failed, unfinished and NaN ones never win."""
    finished = [
        trial for trial in trials if trial.kind == "search" and trial.state == "done" and trial.mean is not None
    ]
    comparable = [trial for trial in finished if trial.mean == trial.mean]
    return max(comparable, key=lambda trial: (trial.mean, -trial.number), default=None)
