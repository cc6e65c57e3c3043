"""Whether two experiments with the same seed gave the same numbers, to the last bit."""

from __future__ import annotations

from meta_logs.results import ExperimentResults
from powerbench.store.evaluations import sample_of
from powerbench.store.rows import TrialRow

_Key = tuple[str | int, ...]


def sameness(earlier: ExperimentResults, now: ExperimentResults) -> str:
    """Compare every number that both have of the same trainings, and say in a sentence what came of it."""
    before, after = _numbers(earlier), _numbers(now)
    common = [key for key in before if key in after]
    if not common:
        return "the same seed, but the two experiments have no training in common."
    differing = [key for key in common if before[key].hex() != after[key].hex()]
    count = len({key[:2] for key in common})
    trainings = "one training" if count == 1 else f"{count} trainings"
    if not differing:
        return (
            f"the same seed, and the same numbers bit for bit: all {len(common)} numbers of {trainings} "
            "(best value of every fold on validation, every result on test)."
        )
    first = differing[0]
    return (
        f"the same seed, but {len(differing)} of {len(common)} numbers of {trainings} differ; the first is "
        f"{' '.join(map(str, first))}: {before[first]!r}, now {after[first]!r}."
    )


def _numbers(results: ExperimentResults) -> dict[_Key, float]:
    """The numbers of every training that counts: on validation by fold, evaluated by split, mode, weights, metric."""
    numbers: dict[_Key, float] = {}
    for trial in _evaluated(results):
        key = (trial.kind, trial.number)
        for run in results.runs[trial.id]:
            if run.best_value is not None:
                numbers[*key, "fold", run.fold] = run.best_value
        for row in results.evaluations[trial.id]:
            numbers[*key, row.split, row.mode, row.weights, row.metric] = row.value
    return numbers


def _evaluated(results: ExperimentResults) -> list[TrialRow]:
    members = sample_of(list(results.trials))[1]
    return members if results.best is None or results.best in members else [results.best, *members]
