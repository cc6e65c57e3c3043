"""Runs one experiment from wherever it stands to its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from powerbench.driver.evaluating import evaluate
from powerbench.driver.experiment import Experiment
from powerbench.driver.finishing import write_best_parameters, write_results
from powerbench.driver.log import ExperimentLog, open_log
from powerbench.driver.progress import Progress
from powerbench.driver.runs import Runs
from powerbench.driver.searching import repeat, reproduce, search, train_single
from powerbench.driver.work import Work
from powerbench.environment import environment_of_process
from powerbench.errors import PowerbenchError, Stopped
from powerbench.jobs import MODES
from powerbench.starting import end_of_start


def run_experiment(experiment: Experiment, work: Work) -> None:
    """Search, reproduce and evaluate on the test split, or train the single trial; write the results.

    Whatever the store records as done is not done again. Raises :class:`PowerbenchError` if every trial
    failed or an evaluation did.
    """
    budget = experiment.prepared.budget
    with _session(experiment, work) as runs:
        if budget.trials:
            search(runs)
            write_best_parameters(experiment)  # at hand while the reproductions run
        if budget.repeats is not None:
            repeat(runs, budget.repeats)
        if budget.reproductions:
            reproduce(runs)
        if budget.single:
            train_single(runs)
        else:
            evaluate(runs, ["test"], MODES)
            _drop_unwanted_weights(experiment)
        write_results(experiment)
        _refuse_total_failure(experiment)


def evaluate_experiment(
    experiment: Experiment, work: Work, splits: Sequence[str], modes: Sequence[str], *, again: bool
) -> None:
    """Evaluate a trained experiment on ``splits`` in ``modes``, and write the results."""
    with _session(experiment, work) as runs:
        evaluate(runs, splits, modes, again=again)
        write_results(experiment)


def _drop_unwanted_weights(experiment: Experiment) -> None:
    """Delete every weight file once all is evaluated, if the config keeps none."""
    if experiment.prepared.config.keep_weights == "none":
        for trial in experiment.trials():
            experiment.folder.drop_weights(trial.kind, trial.number)


@contextmanager
def _session(experiment: Experiment, work: Work) -> Iterator[Runs]:
    """The runs of an experiment, with their progress shown; the log says how the session began and how it ended."""
    end_of_start()
    with open_log(experiment.folder.log) as log:
        _log_start(experiment, work, log)
        progress = _progress(experiment, log)
        try:
            yield Runs(experiment, work, progress)
        except BaseException as error:
            stopped = isinstance(error, Stopped | KeyboardInterrupt)
            state, level = ("stopped", "warning") if stopped else ("failed", "error")
            log.write("end", level=level, state=state, reason=str(error) or type(error).__name__)
            raise
        else:
            log.write("end", state="finished")
        finally:
            progress.close()


def _log_start(experiment: Experiment, work: Work, log: ExperimentLog) -> None:
    prepared = experiment.prepared
    log.write(
        "resume" if experiment.trials() else "start",
        command=sys.argv,
        pid=os.getpid(),
        workers=work.executor.slots,
        budget=prepared.budget.plain(),
        config_hash=prepared.merged.hash,
        protocol_fingerprint=prepared.fingerprint,
        environment=environment_of_process(),
    )


def _progress(experiment: Experiment, log: ExperimentLog) -> Progress:
    trials = experiment.trials()
    done = sum(run.state != "running" for trial in trials for run in experiment.store.runs(trial.id))
    progress = Progress(experiment.name, experiment.prepared.plan.fold_runs, done, len(experiment.fold_names), log)
    progress.start(trials)
    return progress


def _refuse_total_failure(experiment: Experiment) -> None:
    trials = experiment.trials()
    if trials and all(trial.state == "failed" for trial in trials):
        raise PowerbenchError(f"every trial of {experiment.name} failed: {trials[0].error_kind}: {trials[0].error}")
