"""Evaluation of trained trials on the splits asked for; the test split only after the training is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from powerbench.driver.runs import Runs
from powerbench.errors import PowerbenchError, UserError
from powerbench.jobs import CONCATENATED, SEPARATE, TRAINED, WEIGHTS
from powerbench.store.rows import TrialRow, best_trial

if TYPE_CHECKING:
    from powerbench.config.schema import ExperimentConfig
    from powerbench.store.store import Store


def evaluated_trials(trials: Iterable[TrialRow]) -> list[TrialRow]:
    """The chosen trial (or the single one) and every reproduction, as far as they ended well."""
    trials = list(trials)
    best = best_trial(trials)
    others = [trial for trial in trials if trial.kind != "search" and trial.state == "done"]
    return [best, *others] if best else others


def evaluate(runs: Runs, splits: Sequence[str], modes: Sequence[str], *, again: bool = False) -> None:
    """Evaluate every trial that counts, skipping what is recorded already unless ``again``.

    Raises :class:`UserError` if nothing is trained yet or the test split is asked for before the search
    has ended, and :class:`PowerbenchError` if an evaluation failed.
    """
    experiment = runs.experiment
    refuse_joining_parts(splits, modes)
    _refuse_early_test(runs, splits)
    trials = evaluated_trials(experiment.trials())
    if not trials:
        raise UserError(
            f"{experiment.name} has no trained trial to evaluate; run it first, without --evaluate and "
            "--evaluate_ensemble."
        )
    for trial in trials:
        done = [
            mode
            for mode in modes
            if has_evaluations(experiment.store, experiment.prepared.config, trial, splits, [mode])
        ]
        missing = [mode for mode in modes if again or mode not in done]
        if missing:
            runs.evaluate(trial, splits, missing)
    runs.drain()
    if runs.evaluation_failures:
        raise PowerbenchError(f"{runs.evaluation_failures} evaluations failed; the messages are above.")


def refuse_joining_parts(splits: Sequence[str], modes: Sequence[str]) -> None:
    """Raise :class:`UserError` if only the ensemble is asked for, on splits of which each fold has its own items."""
    if SEPARATE not in modes and "test" not in splits:
        raise UserError(
            "--evaluate_ensemble joins the folds' embeddings of the same items, so it works on the test split only "
            "(folds differ in train and val): add --splits_to_eval [test]."
        )


def modes_of(separate: bool, concatenated: bool) -> tuple[str, ...]:
    """The modes that the two flags of the command line ask for."""
    return (*([SEPARATE] if separate else []), *([CONCATENATED] if concatenated else []))


def has_evaluations(
    store: Store, config: ExperimentConfig, trial: TrialRow, splits: Sequence[str], modes: Sequence[str]
) -> bool:
    """Whether every value that an evaluation of ``trial`` gives is recorded."""
    weights = WEIGHTS if config.check_untrained_accuracy else (TRAINED,)
    recorded = {(row.split, row.mode, row.weights, row.metric) for row in store.evaluations(trial.id)}
    return all(
        (split, mode, state, metric) in recorded
        for mode in modes
        for split in splits
        if mode == SEPARATE or split == "test"  # only the test split is the same for every fold
        for state in weights
        for metric in config.evaluation_metrics
    )


def _refuse_early_test(runs: Runs, splits: Sequence[str]) -> None:
    experiment = runs.experiment
    planned = experiment.prepared.planned_search_trials
    ended = sum(trial.state != "running" for trial in experiment.trials("search"))
    if "test" in splits and ended < planned:
        raise UserError(
            f"the search of {experiment.name} has {ended} of {planned} trials: the test split is read only when "
            "validation has chosen the trial. Finish the search first: run the same command without --evaluate and "
            "--evaluate_ensemble."
        )
