"""The training of one fold run, in one loop that can be read in one sitting.

Bit-identical on a CPU however often it is interrupted: whatever is random in an epoch is drawn inside a
block seeded by the run's seed and the epoch, and checkpoints are taken between epochs. Only the training
and validation parts of the fold are opened here, never its tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import Stopped
from powerbench.evaluation.failures import failure_of
from powerbench.evaluation.model import use_threads
from powerbench.evaluation.opening import FoldRun, open_data, open_fold_run
from powerbench.evaluation.stopping import poller
from powerbench.files import remove_leftovers
from powerbench.jobs import Failure, TrainJob, TrainResult
from powerbench.methods.contract import Batch, PlannedBatch
from powerbench.seeding import seed_of, seeded
from powerbench.training import checkpoints
from powerbench.training.context import EpochContext
from powerbench.training.history import TOTAL_LOSS, EpochLosses, History
from powerbench.training.optimizers import Optimizers
from powerbench.training.outcome import result_of, unopened_result
from powerbench.training.resuming import resume, run_key, save
from powerbench.training.validation import measure_untrained, validate


@dataclass
class Session:
    """A fold run being trained by this process."""

    job: TrainJob
    config: ExperimentConfig
    run: FoldRun
    optimizers: Optimizers
    history: History
    key: str
    report: Callable[[str], None]
    poll: Callable[[], None]


def train_fold(
    job: TrainJob,
    *,
    report: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainResult:
    """Train one trial on one fold, from its checkpoint if there is one, and select its best epoch on validation.

    ``report`` receives lines of progress. ``should_stop`` is asked before every batch: once it says so,
    Stopped is raised (after a checkpoint, if an epoch has just ended) and the same job continues later.
    NaN, divergence, lack of memory and errors of the method come back as the result's ``failure``.
    The best weights and the result are left in ``job.folder``. Raises UserError for what cannot be trained.
    """
    started = time.monotonic()
    config = ExperimentConfig.from_plain(job.config)
    use_threads(config.threads_per_run)
    data = open_data(config, job.places)
    try:
        with open_fold_run(config, job.places, data, job.fold, job.seed) as run:
            return _train_or_load(job, config, run, started, report or _silent, poller(should_stop))
    except Exception as error:  # failure_of raises again what says nothing about the trial
        return unopened_result(data.fold(job.fold), config, failure_of(error, ()), time.monotonic() - started)


def _train_or_load(
    job: TrainJob,
    config: ExperimentConfig,
    run: FoldRun,
    started: float,
    report: Callable[[str], None],
    poll: Callable[[], None],
) -> TrainResult:
    folder, key = Path(job.folder), run_key(job, run)
    remove_leftovers(folder)
    if (done := checkpoints.load_result(folder, key, run.trained_modules)) is not None:
        return done
    optimizers = Optimizers(config, run.trained_parameters(), run.model.device)
    history = resume(folder, key, run, optimizers)
    session = Session(job, config, run, optimizers, history, key, report, poll)
    started -= history.seconds
    failure: Failure | None = None
    try:
        train(session, started)
    except Exception as error:  # failure_of raises again what says nothing about the trial
        failure = failure_of(error, (run.model.trunk, run.model.method.modules))
    history.seconds = time.monotonic() - started
    result = result_of(run, config, history, failure)
    if failure is None:
        checkpoints.finish(folder, key, result, history.best_weights)
    elif failure.kind in ("nan", "diverged"):
        checkpoints.remove_checkpoint(folder)
    return result


def train(session: Session, started: float) -> None:
    """Epochs until there are enough, or until patience ends; ``started`` is when the run would have begun."""
    config, run, history, optimizers = session.config, session.run, session.history, session.optimizers
    epochs = config.epochs_of(run.fold.name)
    saved = time.monotonic()
    if not history.measurements and config.check_untrained_accuracy:
        measure_untrained(config, run, history, session.poll)
        session.report(history.line("untrained"))
    while history.epoch < epochs and not history.out_of_patience(config.patience):
        epoch = history.epoch + 1
        train_epoch(session, epoch)
        optimizers.end_epoch()
        if epoch % config.save_interval == 0 or epoch == epochs:
            value = validate(config, run, history, epoch, session.poll)
            optimizers.end_validation(value)
        history.epoch = epoch
        session.report(history.line(f"epoch {epoch} of {epochs}"))
        stop = _stop_is_requested(session)
        if stop or time.monotonic() - saved >= config.checkpoint_seconds:
            history.seconds, history.model_seconds = time.monotonic() - started, run.model.clock.seconds
            save(Path(session.job.folder), session.key, run, optimizers, history)
            saved = time.monotonic()
        if stop:
            raise Stopped(f"{run.fold.name} was stopped after epoch {epoch}")


def train_epoch(session: Session, epoch: int) -> None:
    """One epoch: the method plans its batches, the optimisers take the steps it asks for."""
    config, run, history = session.config, session.run, session.history
    model, method, seed = run.model, run.model.method, session.job.seed
    labels = torch.from_numpy(run.facts.labels).to(model.device)
    context = EpochContext(config, run, seed, epoch, session.poll)
    losses = EpochLosses()
    with seeded(seed_of(run=seed, epoch=epoch, purpose="training")):
        plan = method.plan_epoch(context)
        session.optimizers.refresh(run.trained_parameters())
        batches = run.inputs.batches(
            [run.fold.train[planned.positions] for planned in plan],
            part="train",
            seed=seed_of(run=seed, epoch=epoch, purpose="augmentation"),
            views=method.needs.views,
        )
        model.train()
        for planned, positions, views in zip(plan, _positions(plan, model.device), batches, strict=True):
            session.poll()
            with model.clock:
                inputs = tuple(model.place(view) for view in views)
                batch = Batch(positions, labels[positions], inputs, planned.tag, epoch, history.iterations)
                with model.autocast():
                    outputs = [model.trunk_outputs(view, method.needs.trunk_outputs) for view in inputs]
                updates = method.losses(batch, outputs)
                total = torch.zeros((), device=model.device)
                while True:
                    with model.autocast():
                        update = next(updates, None)
                    if update is None:
                        break
                    total = total + session.optimizers.step(update)
                    losses.add(update.losses)
                losses.add({TOTAL_LOSS: total})
                method.after_step(batch)
            history.iterations += 1
        with model.clock:
            method.end_epoch(context)
            means = losses.means(epoch)  # the epoch's one wait for a GPU: what it computed till then is the model's
    history.losses += means


def _positions(plan: Sequence[PlannedBatch], device: torch.device) -> list[Tensor]:
    """Each batch's positions on the device, brought there together: a GPU waits for every single copy."""
    if not plan:
        return []
    together = np.concatenate([planned.positions for planned in plan])
    sizes = [len(planned.positions) for planned in plan]
    return list(torch.split(torch.from_numpy(together).to(device), sizes))


def _stop_is_requested(session: Session) -> bool:
    try:
        session.poll()
    except Stopped:
        return True
    return False


def _silent(line: str) -> None:
    pass
