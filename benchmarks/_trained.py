"""Real training as an objective: a search trial's folds, trained as an experiment of ``run.py`` trains them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from powerbench.driver.preparing import Prepared, prepare
from powerbench.driver.requests import Request, requested_config
from powerbench.driver.suites import load_suite
from powerbench.driver.user_code import copy_files
from powerbench.jobs import TrainJob
from powerbench.plan import TrialKind, run_seed
from powerbench.roots import Roots, find_roots
from powerbench.search import Outcome, Space
from powerbench.store.intervals import mean_and_sem
from powerbench.training import train_fold


def request_of(task: str, seed: int = 0) -> Request:
    """What the suite asks for: ``task`` is a suite and one of its methods, ``demo:triplet``."""
    suite, _, method = task.rpartition(":")
    (part,) = load_suite(suite, root=None, overrides={"seed": seed}).parts
    return part.requests[method]


class Trained:
    """The validation metric of a task's trials: mean and standard error over folds, as an experiment stores them.

    The n-th call trains with the seeds of search trial n of an experiment with that ``seed``: searches share them,
    whatever they propose. Only weights and the user's own files are written, into ``folder``, and features into
    ``cache``; a process opens the dataset and a frozen trunk once.
    """

    def __init__(self, task: str, seed: int, *, folder: Path, cache: Path) -> None:
        self._seed, self._folder, self._trials = seed, folder, 0
        self._roots: Roots = find_roots({"cache_dir": cache})
        merged, budget = requested_config(request_of(task, seed), None, self._roots.config_folder)
        self._prepared: Prepared = prepare(merged, budget, self._roots)
        copy_files(self._prepared.user_files, folder)

    @property
    def space(self) -> Space:
        return self._prepared.space

    def __call__(self, point: Mapping[str, Any]) -> Outcome:
        """The next search trial."""
        self._trials += 1
        return self._train(point, "search", self._trials - 1)

    def anew(self, point: Mapping[str, Any], number: int) -> Outcome:
        """A fresh training, with the seeds of that reproduction."""
        return self._train(point, "reproduction", number)

    def _train(self, point: Mapping[str, Any], kind: TrialKind, number: int) -> Outcome:
        assert self._prepared.data is not None
        config = self._prepared.config_for(point, self._folder)
        values = []
        for fold in range(len(self._prepared.data.fold_names)):
            seed = run_seed(self._seed, kind, number, fold)
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                result = train_fold(TrainJob(config, fold, seed, folder, self._roots.places))
            if result.failure is not None:
                return Outcome(None, failed=True)
            values.append(result.best_value)
        return Outcome(*mean_and_sem(values))
