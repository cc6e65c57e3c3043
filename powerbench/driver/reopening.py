"""Failed fold runs opened again, so that the experiment's next session trains them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from powerbench.driver.folder import ExperimentFolder
from powerbench.errors import UserError, nearest
from powerbench.store.rows import RunRow, TrialRow

if TYPE_CHECKING:
    from powerbench.store.store import Store

_TRIAL = re.compile(r"(?P<kind>search|reproduction|single):(?P<number>\d+)")


@dataclass(frozen=True)
class ToReopen:
    """The failed fold runs that were asked for; none if an earlier command has opened them already."""

    experiment_id: int
    runs: tuple[tuple[TrialRow, RunRow], ...]


def find_failed(store: Store, name: str, trial: str | None, fold: int | None) -> ToReopen:
    """The failed fold runs of an experiment, of one of its trials (``search:3``), or of one fold of it.

    Raises :class:`UserError` if there is no such experiment, trial or fold, or if it neither failed nor waits to be
    trained again.
    """
    experiment = store.experiment(name)
    if experiment is None:
        known = [row.name for row in store.experiments()]
        raise UserError(f"there is no experiment {name} to rerun.", near=nearest(name, known))
    if fold is not None and trial is None:
        raise UserError("--fold needs --trial: a fold of which trial?")
    trials = store.trials(experiment.id)
    chosen = [_trial(trials, trial)] if trial is not None else trials
    runs = [(one, run) for one in chosen for run in store.runs(one.id) if fold in (None, run.fold)]
    if fold is not None and not runs:
        raise UserError(f"{trial} of {name} has no fold {fold}.", where="--fold")
    failed = tuple((one, run) for one, run in runs if run.state == "failed")
    if not failed and not any(run.state == "running" for _, run in runs):
        what = f"{trial}{'' if fold is None else f' fold {fold}'} of {name}" if trial else f"{name}"
        raise UserError(f"nothing failed in {what}: there is nothing to rerun.")
    return ToReopen(experiment.id, failed)


def reopen(store: Store, folder: ExperimentFolder, found: ToReopen) -> None:
    """Forget the failed fold runs, files first: what is interrupted between the two is found failed again.

    Raises :class:`~powerbench.store.lease.LeaseRefused` while a driver works on the experiment.
    """
    with store.lease(found.experiment_id, folder.path):
        for trial, run in found.runs:
            path = folder.path / run.folder
            if path.is_dir():
                shutil.rmtree(path)
            store.reopen_run(trial.id, run.fold)


def _trial(trials: Sequence[TrialRow], text: str) -> TrialRow:
    labels = {trial.label: trial for trial in trials}
    if not _TRIAL.fullmatch(text):
        raise UserError(f"takes a trial like search:3 or reproduction:0, not {text!r}.", where="--trial")
    if text not in labels:
        raise UserError(f"there is no trial {text}.", where="--trial", near=nearest(text, labels))
    return labels[text]
