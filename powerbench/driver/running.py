"""Runs one experiment from wherever it stands to its end."""

from __future__ import annotations

from collections.abc import Sequence

from powerbench.driver.evaluating import evaluate
from powerbench.driver.experiment import Experiment
from powerbench.driver.finishing import write_results
from powerbench.driver.progress import Progress
from powerbench.driver.runs import Runs
from powerbench.driver.searching import reproduce, search, train_single
from powerbench.driver.work import Work
from powerbench.errors import PowerbenchError
from powerbench.jobs import MODES


def run_experiment(experiment: Experiment, work: Work) -> None:
    """Search, reproduce and evaluate on the test split, or train the single trial; write the results.

    Whatever the store records as done is not done again. Raises :class:`PowerbenchError` if every trial
    failed or an evaluation did.
    """
    budget = experiment.prepared.budget
    runs = Runs(experiment, work, _progress(experiment))
    try:
        if budget.trials:
            search(runs)
            write_results(experiment)
        if budget.reproductions:
            reproduce(runs)
        if budget.single:
            train_single(runs)
        else:
            evaluate(runs, ["test"], MODES)
    finally:
        runs.progress.close()
    write_results(experiment)
    _refuse_total_failure(experiment)


def evaluate_experiment(
    experiment: Experiment, work: Work, splits: Sequence[str], modes: Sequence[str], *, again: bool
) -> None:
    """Evaluate a trained experiment on ``splits`` in ``modes``, and write the results."""
    runs = Runs(experiment, work, _progress(experiment))
    try:
        evaluate(runs, splits, modes, again=again)
    finally:
        runs.progress.close()
    write_results(experiment)


def _progress(experiment: Experiment) -> Progress:
    trials = experiment.trials()
    done = sum(run.state != "running" for trial in trials for run in experiment.store.runs(trial.id))
    progress = Progress(experiment.name, experiment.prepared.plan.fold_runs, done, len(experiment.fold_names))
    progress.start(trials)
    return progress


def _refuse_total_failure(experiment: Experiment) -> None:
    trials = experiment.trials()
    if trials and all(trial.state == "failed" for trial in trials):
        raise PowerbenchError(f"every trial of {experiment.name} failed: {trials[0].error_kind}: {trials[0].error}")
