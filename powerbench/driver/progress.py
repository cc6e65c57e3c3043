"""How far an experiment is: a bar on a terminal, plain lines otherwise, and every step in the experiment's log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from powerbench.console import complain, duration, say
from powerbench.driver.log import ExperimentLog
from powerbench.jobs import Failure, TrainResult
from powerbench.store.rows import TrialRow, best_trial


class Progress:
    """Counts fold runs and trials, says and logs what came of them, with an estimate of what remains."""

    def __init__(
        self,
        name: str,
        fold_runs: int,
        done: int,
        folds: int,
        log: ExperimentLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.total, self.done, self.folds, self.log = name, fold_runs, done, folds, log
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

    def proposed(self, trial: TrialRow) -> None:
        """The search chose a setting to try next."""
        self.log.write("proposal", trial=trial.label, parameters=trial.parameters, proposal=trial.proposal)

    def reported(self, trial: TrialRow, fold: int | None, text: str) -> None:
        """A running job says how far it is, or warns (workers write the level first)."""
        level = text.partition(": ")[0]
        if level in ("warning", "error"):
            self._warn(text)
        elif self._bar is not None:
            self._bar.set_postfix_str(f"{trial.label}{'' if fold is None else f', fold {fold}'}: {text}")
        level = level if level in ("warning", "error") else "info"
        self.log.write("report", level=level, trial=trial.label, fold=fold, text=text)

    def environment_changed(self, changes: list[str]) -> None:
        """The runs that follow are computed with something else than those recorded."""
        self._warn(
            f"{self.name}: this is not the environment of its earlier runs ({'; '.join(changes)}); numbers may differ "
            "for that alone."
        )
        self.log.write("environment", level="warning", changes=changes)

    def fold_run_done(self, trial: TrialRow, fold: int, fold_name: str, result: TrainResult) -> None:
        """A fold run has a result."""
        self.done += 1
        self.log.write("fold_run", trial=trial.label, fold=fold, **_outcome(result))
        if self._bar is not None:
            self._bar.update()
            self._bar.set_postfix_str(f"{trial.kind} {trial.number}, {fold_name}: {result.best_value:.4f}")
        if result.failure is not None:
            self._line(f"{_label(trial)}, {fold_name}: {result.failure.kind}: {result.failure.message}")

    def trial_done(self, trial: TrialRow) -> None:
        """All folds of a trial have a result."""
        self.log.write("trial", trial=trial.label, state=trial.state, mean=trial.mean, sem=trial.sem)
        if trial.state == "failed":
            self._line(f"{_label(trial)} failed: {trial.error_kind}{self._remaining()}")
            return
        self._keep_best(trial)
        spread = "" if trial.sem is None else f" (sem over folds {trial.sem:.4f})"
        best = f", best so far trial {self._best.number}" if self._best and trial.kind == "search" else ""
        self._line(f"{_label(trial)}: validation {trial.mean:.4f}{spread}{best}{self._remaining()}")

    def evaluated(self, trial: TrialRow, seconds: float) -> None:
        """A trial was evaluated."""
        self.log.write("evaluation", trial=trial.label, state="done", seconds=seconds)
        self._line(f"{_label(trial)}: evaluated in {duration(seconds)}")

    def evaluation_failed(self, trial: TrialRow, failure: Failure) -> None:
        """An evaluation gave no result."""
        self.log.write("evaluation", level="error", trial=trial.label, state="failed", **_error(failure))
        self._line(f"{_label(trial)}: evaluation failed: {failure.kind}: {failure.message}")

    def overtaken(self, count: int) -> None:
        """Reproductions of a setting that is no longer the best make room."""
        self.log.write("overtaken", reproductions=count)
        self.done -= count * self.folds
        self._done_at_start -= count * self.folds
        self._line(f"a better setting was found: {count} reproductions are trained anew (the old ones stay on record)")

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

    def _warn(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            complain(text)

    def _keep_best(self, trial: TrialRow) -> None:
        self._best = best_trial([trial, *([self._best] if self._best else [])])


def _outcome(result: TrainResult) -> dict[str, Any]:
    if result.failure is not None:
        return {"level": "error", "state": "failed", "seconds": result.seconds, **_error(result.failure)}
    best = {"best_epoch": result.best_epoch, "best_value": result.best_value}
    return {"state": "done", "seconds": result.seconds, "epochs": result.epochs, **best}


def _error(failure: Failure) -> dict[str, str]:
    return {"kind": failure.kind, "message": failure.message}


def _label(trial: TrialRow) -> str:
    return "the single trial" if trial.kind == "single" else f"{trial.kind} trial {trial.number}"
