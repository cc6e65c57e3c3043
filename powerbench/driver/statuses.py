"""How far an experiment is, who works on it, and how long the rest may take: from the store and the log alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from powerbench.driver.evaluating import evaluated_trials
from powerbench.jobs import MODES
from powerbench.plan import Budget
from powerbench.store.lease import driver_lives
from powerbench.store.rows import ExperimentRow, LeaseRow, RunRow, TrialRow

if TYPE_CHECKING:
    from powerbench.store.store import Store

RECENT_RUNS = 20


@dataclass(frozen=True)
class Counts:
    """Of what was planned, how much is done, how much failed. What was not begun is the rest."""

    done: int
    failed: int
    planned: int

    @property
    def left(self) -> int:
        """How much has no result yet."""
        return max(0, self.planned - self.done - self.failed)


@dataclass(frozen=True)
class Driver:
    """The process that holds the experiment. ``alive`` is ``None`` if its clock disagrees with this machine's."""

    host: str
    pid: int
    since: str
    heartbeat: str
    alive: bool | None


@dataclass(frozen=True)
class AtWork:
    """A job that runs now (``fold`` is ``None`` for an evaluation), and what it reported last, and when."""

    trial: str
    fold: int | None
    report: str
    reported: str


@dataclass(frozen=True)
class FailedRun:
    """A fold run without a result, and why."""

    trial: str
    fold: int
    kind: str
    message: str


@dataclass(frozen=True)
class Estimate:
    """The training left: fold runs without a result times the mean seconds of those done, over ``workers``.

    ``workers`` is how many fold runs were seen at work at the same time. Evaluations are not counted.
    """

    seconds_left: float
    fold_runs_left: int
    seconds_per_fold_run: float
    measured_fold_runs: int
    workers: int


@dataclass(frozen=True)
class Status:
    """The state of one experiment. ``state``: running, stale (its driver died), stopped (work is left), finished."""

    name: str
    state: str
    driver: Driver | None
    search: Counts
    reproductions: Counts
    single: Counts
    fold_runs: Counts
    evaluations: Counts
    at_work: tuple[AtWork, ...]
    failed: tuple[FailedRun, ...]
    estimate: Estimate | None


def status_of(store: Store, experiment: ExperimentRow, log: Sequence[Mapping[str, Any]]) -> Status:
    """The status of an experiment; ``log`` holds the last lines of its log, which only tell what runs now."""
    trials = store.trials(experiment.id)
    runs = {trial.id: store.runs(trial.id) for trial in trials}
    lease = store.driver(experiment.id)
    driver = _driver(lease) if lease else None
    budget = Budget.from_plain(experiment.budget)
    search = _counts(trials, "search", planned_search(experiment, budget))
    reproductions = _counts(trials, "reproduction", len(budget.reproductions))
    single = _counts(trials, "single", int(budget.single))
    planned_trials = search.planned + reproductions.planned + single.planned
    fold_runs = _fold_runs([run for found in runs.values() for run in found], planned_trials, _folds(experiment, runs))
    evaluations = _evaluations(store, trials, search, reproductions)
    alive = driver is not None and driver.alive is not False
    at_work = _at_work(log) if alive else ()
    left = search.left + reproductions.left + single.left + evaluations.left
    state = "running" if alive else "finished" if not left else "stale" if driver else "stopped"
    estimate = _estimate(runs, fold_runs, lease.since if lease and alive else None, at_work) if left else None
    failed = tuple(
        FailedRun(trial.label, run.fold, run.error_kind or "error", run.error or "")
        for trial in trials
        for run in runs[trial.id]
        if run.state == "failed"
    )
    return Status(
        experiment.name, state, driver, search, reproductions, single, fold_runs, evaluations, at_work, failed, estimate
    )


def planned_search(experiment: ExperimentRow, budget: Budget) -> int:
    """Search trials to run in all; a grid ends when it is complete."""
    if budget.repeats is not None:
        return 1
    from powerbench.config.merged import MergedConfig
    from powerbench.config.search_keys import search_keys
    from powerbench.search.space import space_of

    merged = MergedConfig.from_plain(experiment.config)
    return space_of(search_keys(merged)).planned(merged.flat().get("search_strategy", "ax"), budget.trials)


def most_at_once(intervals: Iterable[tuple[float, float]]) -> int:
    """How many of the intervals overlap at most."""
    steps = sorted(step for begin, end in intervals for step in ((begin, 1), (end, -1)))
    now = most = 0
    for _, change in steps:  # at equal times the ends come first
        now += change
        most = max(most, now)
    return most


def _counts(trials: Iterable[TrialRow], kind: str, planned: int) -> Counts:
    states = [trial.state for trial in trials if trial.kind == kind]
    return Counts(states.count("done"), states.count("failed"), planned)


def _fold_runs(runs: Sequence[RunRow], trials: int, folds: int) -> Counts:
    states = [run.state for run in runs]
    return Counts(states.count("done"), states.count("failed"), trials * folds)


def _folds(experiment: ExperimentRow, runs: Mapping[int, Sequence[RunRow]]) -> int:
    return len(experiment.protocol.get("split_checksums", ())) or max(map(len, runs.values()), default=0)


def _evaluations(store: Store, trials: Sequence[TrialRow], search: Counts, reproductions: Counts) -> Counts:
    """Evaluations on the test split: of the best search trial and of each reproduction that did not fail."""
    planned = int(search.planned > 0) + reproductions.planned - reproductions.failed
    both = {("test", mode) for mode in MODES}
    done = sum(
        both <= {(row.split, row.mode) for row in store.evaluations(trial.id)} for trial in evaluated_trials(trials)
    )
    return Counts(min(done, planned), 0, planned)


def _driver(lease: LeaseRow) -> Driver:
    return Driver(lease.host, lease.pid, _iso(lease.since), _iso(lease.heartbeat), driver_lives(lease))


def _at_work(log: Sequence[Mapping[str, Any]]) -> tuple[AtWork, ...]:
    """The jobs that reported since the driver began and have not ended."""
    running: dict[tuple[str, int | None], AtWork] = {}
    for line in log:
        event, key = line["event"], (str(line.get("trial")), line.get("fold"))
        if event in ("start", "resume"):
            running.clear()
        elif event in ("fold_run", "evaluation"):
            running.pop(key, None)
        elif event == "report" and line.get("level") == "info":
            running[key] = AtWork(*key, str(line.get("text")), str(line.get("time")))
    return tuple(running.values())


def _estimate(
    runs: Mapping[int, Sequence[RunRow]], counts: Counts, since: float | None, at_work: Sequence[AtWork]
) -> Estimate | None:
    done = [run for found in runs.values() for run in found if run.state == "done" and run.seconds and run.finished]
    if not done:
        return None
    each = sum(run.seconds or 0.0 for run in done) / len(done)
    workers = max(1, most_at_once(_recent(done, since)), sum(job.fold is not None for job in at_work))
    return Estimate(counts.left * each / workers, counts.left, each, len(done), workers)


def _recent(done: Sequence[RunRow], since: float | None) -> list[tuple[float, float]]:
    """When the latest fold runs were at work; with a living driver only those that it ran."""
    spans = sorted((_seconds(run.finished or ""), run.seconds or 0.0) for run in done)[-RECENT_RUNS:]
    begun = since or 0.0
    return [(max(end - length, begun), end) for end, length in spans if end > begun]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
