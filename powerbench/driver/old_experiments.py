"""An experiment that an earlier program trained in a folder below ours: taken over as it lies, to be evaluated.

Its own files stay untouched. Copies of its best models, in today's format, and everything that is ours go to the folder
``powerbench`` inside of it; the store then knows it as a single trial, trained elsewhere.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meta_logs.logged import keep_logged
from powerbench.driver.folder import ExperimentFolder
from powerbench.driver.opening import prepare_config
from powerbench.driver.preparing import Prepared, at_present_places
from powerbench.driver.requests import Request
from powerbench.errors import UserError
from powerbench.files import write_atomic
from powerbench.jobs import TRAINED, Measurement, TrainResult
from powerbench.legacy import PROGRAM
from powerbench.legacy.configs import load_old_config
from powerbench.legacy.folder import holds_old_experiment
from powerbench.legacy.logged import best_of_fold, read_logged
from powerbench.plan import Budget
from powerbench.roots import Roots
from powerbench.store.intervals import mean_and_sem

if TYPE_CHECKING:
    from torch import Tensor

    from meta_logs.logged import Logged
    from powerbench.config.schema import ExperimentConfig
    from powerbench.driver.experiment import Experiment
    from powerbench.legacy.checkpoints import SavedModels
    from powerbench.store.store import Store
    from split_managers.contract import Fold

_DRAWN_AT_RANDOM = "ClosedSetSplitManager"


@dataclass(frozen=True, eq=False)
class OldFold:
    """What is known of a fold's training, and its best models' state dicts, in today's format."""

    result: TrainResult
    weights: Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True, eq=False)
class OldExperiment:
    """A checked request to evaluate what an earlier program trained in ``folder``."""

    folder: Path
    prepared: Prepared
    folds: tuple[OldFold, ...]
    logged: Logged


def find_old(request: Request, roots: Roots, store: Store | None) -> Path | None:
    """The folder of an earlier program that the store does not know whole yet, if the request names one."""
    folder = roots.experiments / request.name
    known = store.experiment(request.name) if store is not None else None
    done = known is not None and store is not None and any(t.state == "done" for t in store.trials(known.id))
    return folder if not done and holds_old_experiment(folder) else None


def refuse_training_in(folder: Path, name: str) -> None:
    """Raise the :class:`UserError` that says what can be done with an earlier program's folder."""
    raise UserError(
        f"{folder} was written by {PROGRAM}: its training is not continued. Evaluate it with --evaluate "
        f"--splits_to_eval [test], or train it again with --reproduce_results {folder} --experiment_name {name}_again."
    )


def prepare_old(folder: Path, request: Request, roots: Roots, store: Store | None) -> OldExperiment:
    """Check that the experiment can be evaluated; write nothing.

    The command line's keys are merged as they always were on evaluation. Raises :class:`UserError` for whatever is
    wrong with its config, its data, its models, or what it logged.
    """
    merged = load_old_config(folder, request.config_names, roots.config_folder, request.overridden)
    merged = merged.with_overrides(request.overrides)
    if not any(folder.glob("*/saved_models")):
        trained = sorted(path.parent.parent.name for path in folder.glob("*/*/saved_models"))
        raise UserError(
            "holds no models (<fold>/saved_models). Of a search name one trial or reproduction: "
            f"--root_experiment_folder {folder} --experiment_name {trained[-1] if trained else '<trial>'}.",
            where=str(folder),
        )
    logged = read_logged(folder)
    prepared = prepare_config(request.name, merged, Budget(), roots, store, merge=True)
    _refuse_random_split(prepared)
    return OldExperiment(folder, prepared, tuple(_read_folds(folder, prepared, roots)), logged)


def _read_folds(folder: Path, prepared: Prepared, roots: Roots) -> Iterator[OldFold]:
    """Load each fold's best models into one model of ours, so that all of them are known to fit."""
    from powerbench.evaluation.opening import open_data, open_fold_run
    from powerbench.legacy.checkpoints import best_models, fold_folder, load_old_weights

    user_code = ExperimentFolder.of(folder.name, folder.parent).user_code
    config = at_present_places(prepared.config, user_code, prepared.user_files)
    data = open_data(config, roots.places)
    with open_fold_run(config, roots.places, data, 0, config.seed) as run:
        for fold in data.folds:
            models = best_models(folder, fold.name, ("trunk", "embedder"))
            logged = best_of_fold(fold_folder(folder, fold.name), config.hook_container.primary_metric)
            weights = {name: load_old_weights(run.module(name), models.files[name]) for name in run.trained_modules}
            yield OldFold(_result(fold, models, logged, config), weights)


def take_over(experiment: Experiment, old: OldExperiment) -> None:
    """Write its best models and record it as a trained single trial; what was interrupted is done again."""
    from powerbench.evaluation.weights import best_weights_file

    keep_logged(experiment.folder.path, old.logged)
    store = experiment.store
    trial = store.add_trial(experiment.id, "single", 0, {})
    for number, fold in enumerate(old.folds):
        place = experiment.fold_folder(trial, number)
        for module, state in fold.weights.items():
            _save(state, best_weights_file(Path(place), module))
        store.add_run(trial.id, number, experiment.seed(trial, number), place)
        store.finish_run(trial.id, number, fold.result)
    store.finish_trial(trial.id, *mean_and_sem([fold.result.best_value for fold in old.folds]))


def _save(state: Mapping[str, Tensor], path: Path) -> None:
    import torch

    memory = io.BytesIO()
    torch.save(dict(state), memory)
    write_atomic(path, memory.getvalue())


def _result(fold: Fold, models: SavedModels, logged: tuple[int | None, float], config: ExperimentConfig) -> TrainResult:
    """What is known of a fold's training: the chosen epoch, and the value on validation that was logged for it."""
    epoch, value = logged
    best = models.epoch if models.epoch is not None else epoch
    metric = config.hook_container.primary_metric
    known = () if best is None or math.isnan(value) else (Measurement("val", best, TRAINED, metric, value),)
    return TrainResult(
        fold_name=fold.name,
        split_checksum=fold.checksum(),
        best_epoch=best or 0,
        best_value=value,
        epochs=best or 0,
        iterations=(best or 0) * config.trainer.iterations_per_epoch,
        seconds=0.0,
        model_seconds=0.0,
        measurements=known,
        losses=(),
        environment={"trained_by": PROGRAM},
    )


def _refuse_random_split(prepared: Prepared) -> None:
    """Where parts were drawn at random, ours are others: a test set would hold what the models were trained on."""
    name = prepared.config.split_manager.name
    folds = prepared.data.fold_names if prepared.data else ()
    if name == _DRAWN_AT_RANDOM or any("Shuffled" in fold for fold in folds):
        raise UserError(
            f"{name} draws its parts at random, and {PROGRAM} drew others than powerbench would: the test set here "
            "would hold what these models were trained on. They can be trained anew: --reproduce_results.",
            where=prepared.merged.where("split_manager"),
        )
