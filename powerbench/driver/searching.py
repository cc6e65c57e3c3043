"""The three stages of an experiment's training: search, reproductions, or a single trial.

Each stage continues from the store alone: what is recorded there is not done again.
"""

from __future__ import annotations

import json

from powerbench.driver.preparing import GIVEN, Prepared
from powerbench.driver.runs import Runs
from powerbench.errors import PowerbenchError
from powerbench.search.proposing import Outcome, propose
from powerbench.store.rows import TrialKind, TrialRow, best_trial


def search(runs: Runs) -> None:
    """Run the search to its budget.

    Proposal i is a function of the parameters of trials 0 .. i-1 and the results of trials 0 .. i-K,
    K being ``parallel_trials``; so it waits for those results and for no others, and whoever comes
    first changes nothing. A proposal is stored before it is launched.
    """
    experiment, prepared = runs.experiment, runs.experiment.prepared
    parallel = prepared.config.parallel_trials
    for trial in experiment.trials("search"):
        if trial.state == "running":
            runs.train(trial)
    while True:
        trials = experiment.trials("search")
        count = len(trials)
        ready = all(trial.state != "running" for trial in trials[: max(count - parallel + 1, 0)])
        if count < prepared.planned_search_trials and ready:
            runs.train(_propose(runs, trials))
        elif runs.busy:
            ended = runs.wait()
            if ended is not None:
                keep_only_best(runs)
        else:
            keep_only_best(runs)  # of trials that ended just before a session was killed
            return


def reproduce(runs: Runs) -> None:
    """Train every budgeted reproduction of the chosen setting that is not trained yet."""
    experiment, prepared = runs.experiment, runs.experiment.prepared
    parameters = chosen_parameters(runs)
    drop_overtaken(runs, parameters)
    known = {trial.number: trial for trial in experiment.trials("reproduction")}
    for number in prepared.budget.reproductions:
        trial = known.get(number) or experiment.store.add_trial(experiment.id, "reproduction", number, parameters)
        if trial.state == "running":
            runs.train(trial)
    runs.drain()


def train_single(runs: Runs) -> None:
    """Train the config's own setting once."""
    _train_once(runs, "single", 0)


def repeat(runs: Runs, number: int) -> None:
    """Train the config's own setting once, with the seeds of the search trial of that number."""
    _train_once(runs, "search", number)


def _train_once(runs: Runs, kind: TrialKind, number: int) -> None:
    trial = runs.experiment.store.add_trial(runs.experiment.id, kind, number, {})
    if trial.state == "running":
        runs.train(trial)
    runs.drain()


def chosen_parameters(runs: Runs) -> dict[str, object]:
    """The parameters of the best search trial; none if nothing was searched."""
    if not runs.experiment.prepared.budget.trials:
        return {}
    best = best_trial(runs.experiment.trials("search"))
    if best is None:
        raise PowerbenchError(
            f"every search trial of {runs.experiment.name} failed, so there is nothing to reproduce or evaluate; "
            "`powerbench report` shows the errors."
        )
    return dict(best.parameters)


def drop_overtaken(runs: Runs, parameters: dict[str, object]) -> None:
    """Make room for reproductions of ``parameters`` where those of an earlier best setting stand.

    A search that is continued may find a better setting. What the earlier reproductions gave stays in a
    ``record_overtaken_<n>.json`` beside the experiment's record.
    """
    experiment = runs.experiment
    overtaken = [trial for trial in experiment.trials("reproduction") if trial.parameters != parameters]
    if not overtaken:
        return
    experiment.store.write_record(experiment.name, experiment.folder.path)
    number = len(list(experiment.folder.path.glob("record_overtaken_*.json")))
    experiment.folder.record.replace(experiment.folder.path / f"record_overtaken_{number}.json")
    for trial in overtaken:
        experiment.store.delete_trial(trial.id)
        experiment.folder.drop_weights(trial.kind, trial.number)
    runs.progress.overtaken(len(overtaken))


def keep_only_best(runs: Runs) -> None:
    """Delete the weights of finished search trials that were beaten, unless the config keeps all."""
    experiment = runs.experiment
    if experiment.prepared.config.keep_weights == "all":
        return
    trials = experiment.trials("search")
    best = best_trial(trials)
    for trial in trials:
        if trial.state != "running" and trial != best:
            experiment.folder.drop_weights(trial.kind, trial.number)


def _propose(runs: Runs, trials: list[TrialRow]) -> TrialRow:
    experiment, prepared = runs.experiment, runs.experiment.prepared
    config, index = prepared.config, len(trials)
    given = index < len(prepared.first_trials)
    parameters = prepared.first_trials[index] if given else _next_point(prepared, trials)
    proposal = {
        "strategy": GIVEN if given else config.search_strategy,
        "space": prepared.space.version,
        "parallel_trials": config.parallel_trials,
    }
    plain = json.loads(json.dumps(parameters))
    trial = experiment.store.add_trial(experiment.id, "search", index, plain, proposal)
    runs.progress.proposed(trial)
    return trial


def _next_point(prepared: Prepared, trials: list[TrialRow]) -> dict[str, object]:
    config, index = prepared.config, len(trials)
    return propose(
        prepared.space,
        strategy=config.search_strategy,
        seed=config.seed,
        index=index,
        parameters=[trial.parameters for trial in trials],
        outcomes=[_outcome(trial) for trial in trials],
        parallel=config.parallel_trials,
        primary=config.hook_container.primary_metric,
    )


def _outcome(trial: TrialRow) -> Outcome | None:
    if trial.state == "running":
        return None
    return Outcome(mean=trial.mean, sem=trial.sem, failed=trial.state == "failed")
