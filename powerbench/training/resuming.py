"""What a checkpoint holds of a fold run, and how the run is continued from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from powerbench.evaluation.opening import FoldRun
from powerbench.jobs import TrainJob
from powerbench.training import checkpoints
from powerbench.training.history import History
from powerbench.training.optimizers import Optimizers


def run_key(job: TrainJob, run: FoldRun) -> str:
    """What checkpoint and result must have been made of to be this job's."""
    dataset, split = run.data.dataset.checksum, run.fold.checksum()
    return checkpoints.run_key(job, dataset=dataset, split=split, weights=run.weights_hash)


def save(folder: Path, key: str, run: FoldRun, optimizers: Optimizers, history: History) -> None:
    """Write the checkpoint of a finished epoch."""
    method = run.model.method
    content: dict[str, Any] = {
        "history": history.state(),
        "method": method.state(),
        "modules": method.modules.state_dict(),
        "optimizers": optimizers.state(),
    }
    if not run.model.frozen_trunk:
        content["trunk"] = run.model.trunk.state_dict()
    checkpoints.save_checkpoint(folder, key, content)


def resume(folder: Path, key: str, run: FoldRun, optimizers: Optimizers) -> History:
    """Load the checkpoint into model and optimisers; the history it holds, or an empty one if there is none."""
    content = checkpoints.load_checkpoint(folder, key)
    if content is None:
        return History()
    method = run.model.method
    method.load_state(content["method"])
    method.modules.load_state_dict(content["modules"])
    method.modules.to(run.model.device)
    if not run.model.frozen_trunk:
        run.model.trunk.load_state_dict(content["trunk"])
    optimizers.refresh(run.trained_parameters())
    optimizers.load_state(content["optimizers"])
    history = History.from_state(content["history"])
    run.model.clock.seconds = history.model_seconds
    return history
