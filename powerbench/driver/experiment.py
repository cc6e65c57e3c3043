"""An open experiment: its row in the store, its folder, and what the driver needs to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from powerbench.driver.folder import ExperimentFolder
from powerbench.driver.preparing import Prepared
from powerbench.jobs import FoldModel, Places, TrainJob
from powerbench.plan import run_seed
from powerbench.store.rows import TrialRow

if TYPE_CHECKING:
    from powerbench.store.store import Store


@dataclass(frozen=True)
class Experiment:
    """One experiment that this process drives."""

    id: int
    name: str
    store: Store
    folder: ExperimentFolder
    prepared: Prepared
    places: Places

    @property
    def fold_names(self) -> tuple[str, ...]:
        """The names of the folds, in order."""
        data = self.prepared.data
        assert data is not None
        return data.fold_names

    def trials(self, kind: str | None = None) -> list[TrialRow]:
        """The recorded trials, by number."""
        return self.store.trials(self.id, kind)

    def seed(self, trial: TrialRow, fold: int) -> int:
        """The seed of a fold run."""
        return run_seed(self.prepared.config.seed, trial.kind, trial.number, fold)

    def fold_folder(self, trial: TrialRow, fold: int) -> str:
        """The folder of a fold run."""
        return str(self.folder.fold_run(trial.kind, trial.number, self.fold_names[fold]))

    def config_of(self, trial: TrialRow) -> dict[str, Any]:
        """The plain config of a trial."""
        return self.prepared.config_for(trial.parameters, self.folder.user_code)

    def train_job(self, trial: TrialRow, fold: int, config: Mapping[str, Any]) -> TrainJob:
        """The job of one fold run."""
        return TrainJob(config, fold, self.seed(trial, fold), self.fold_folder(trial, fold), self.places)

    def models(self, trial: TrialRow) -> tuple[FoldModel, ...]:
        """The trained folds of a finished trial."""
        return tuple(
            FoldModel(run.fold, self.seed(trial, run.fold), self.fold_folder(trial, run.fold), run.best_epoch or 0)
            for run in self.store.runs(trial.id)
        )
