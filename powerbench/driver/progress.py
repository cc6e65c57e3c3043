"""How far an experiment is: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from powerbench.console import duration, say
from powerbench.jobs import Failure, TrainResult
from powerbench.store.rows import TrialRow, best_trial


class Progress:
    """Counts fold runs and trials and says what came of them, with an estimate of what remains."""

    def __init__(self, name: str, fold_runs: int, done: int, folds: int, clock: Callable[[], float] = time.monotonic):
        self.name, self.total, self.done, self.folds = name, fold_runs, done, folds
        self._clock, self._started, self._done_at_start = clock, clock(), done
        self._best: TrialRow | None = None
        self._bar = None
        if sys.stderr.isatty() and done < fold_runs:
            from tqdm import tqdm

            self._bar = tqdm(total=fold_runs, initial=done, desc=name, unit="fold run", dynamic_ncols=True)

    def start(self, trials: list[TrialRow]) -> None:
        """Take up the trials that ended before."""
        for trial in trials:
            self._keep_best(trial)

    def fold_run_done(self, trial: TrialRow, fold_name: str, result: TrainResult) -> None:
        """A fold run has a result."""
        self.done += 1
        if self._bar is not None:
            self._bar.update()
            self._bar.set_postfix_str(f"{trial.kind} {trial.number}, {fold_name}: {result.best_value:.4f}")
        if result.failure is not None:
            self._line(f"{_label(trial)}, {fold_name}: {result.failure.kind}: {result.failure.message}")

    def trial_done(self, trial: TrialRow) -> None:
        """All folds of a trial have a result."""
        if trial.state == "failed":
            self._line(f"{_label(trial)} failed: {trial.error_kind}{self._remaining()}")
            return
        self._keep_best(trial)
        spread = "" if trial.sem is None else f" (sem over folds {trial.sem:.4f})"
        best = f", best so far trial {self._best.number}" if self._best and trial.kind == "search" else ""
        self._line(f"{_label(trial)}: validation {trial.mean:.4f}{spread}{best}{self._remaining()}")

    def evaluated(self, trial: TrialRow, seconds: float) -> None:
        """A trial was evaluated."""
        self._line(f"{_label(trial)}: evaluated in {duration(seconds)}")

    def evaluation_failed(self, trial: TrialRow, failure: Failure) -> None:
        """An evaluation gave no result."""
        self._line(f"{_label(trial)}: evaluation failed: {failure.kind}: {failure.message}")

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._bar is not None:
            self._bar.close()

    def _remaining(self) -> str:
        new = self.done - self._done_at_start
        text = f"; {self.done} of {self.total} fold runs"
        if new == 0 or self.done >= self.total:
            return text
        left = (self._clock() - self._started) / new * (self.total - self.done)
        return f"{text}, about {duration(left)} left"

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(f"{self.name}: {text}", file=sys.stdout)
        else:
            say(f"{self.name}: {text}")

    def _keep_best(self, trial: TrialRow) -> None:
        self._best = best_trial([trial, *([self._best] if self._best else [])])


def _label(trial: TrialRow) -> str:
    return "the single trial" if trial.kind == "single" else f"{trial.kind} trial {trial.number}"
