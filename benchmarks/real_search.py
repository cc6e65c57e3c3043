"""How good the search is on real training: ours beside Ax's fast strategy, on searches of Emoji200's suites.

A task is a suite's method, ``demo:triplet``, with the suite's space and its number of trials; each trial trains all
folds as ``run.py`` does and is judged on validation. A seed gives all optimisers the same seeds of training, trial by
trial. The best setting of each search is then trained anew: a best value is also the luckiest. Each search is one line
of ``searches.jsonl`` in ``--output``: an interrupted run continues, and parts add up. From all lines there,
``real_search.md`` and ``.png`` are written anew. Without options a small part runs, some minutes; ``--full`` is ten
seeds of the demo's searches and one of 25 trials. Other options choose a part of either.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import _real_search_report
from benchmarks._optimisers import HEARS_NOISE, OPTIMISERS, Objective
from benchmarks._real_search_report import KEY, OURS
from benchmarks._searches import run_missing
from benchmarks._trained import Trained, request_of
from powerbench.protocol import SEARCH_VERSION
from powerbench.search import Outcome

TOLD = ("nothing", "folds")
DEMO = [
    f"demo:{method}"
    for method in ("contrastive", "triplet", "ntxent", "multi_similarity", "proxy_nca", "normalized_softmax")
]
SMALL = {"tasks": ["demo:proxy_nca"], "seeds": 3}
FULL = {"tasks": [*DEMO, "new_reality_check_emoji200:proxy_nca"], "seeds": 10}
ANEW = 2
"""How often the best setting of a search is trained anew."""


def main(words: Sequence[str]) -> None:
    """Run the searches that are asked for and not yet there, then report all."""
    arguments = _arguments(words)
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    search = partial(_search, cache=output.resolve() / "cache")
    file = output / "searches.jsonl"
    rows = run_missing(_wanted(arguments), file, KEY, search, _real_search_report.line, arguments.processes)
    _real_search_report.write(rows, output)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks real_search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", default="benchmarks/results/real_search")
    parser.add_argument("--full", action="store_true", help="all tasks, 10 seeds")
    parser.add_argument("--tasks", nargs="+", help="SUITE:METHOD, a suite by name or by path")
    parser.add_argument("--seeds", type=int, help="seeds 0 to SEEDS - 1")
    parser.add_argument("--trials", type=int, help="instead of as many as the suite says")
    parser.add_argument("--optimisers", nargs="+", choices=list(OPTIMISERS), default=[OURS, "ax"])
    parser.add_argument("--told", choices=TOLD, default="nothing", help="the standard error over folds, to the others")
    parser.add_argument("--processes", type=int, default=1)
    whole = parser.parse_known_args(words)[0].full
    parser.set_defaults(**(FULL if whole else SMALL))
    return parser.parse_args(words)


def _wanted(arguments: argparse.Namespace) -> list[dict]:
    """All searches that were asked for; seeds in the outermost loop, so that an early table is a fair one."""
    trials = {task: arguments.trials or request_of(task).budget.trials for task in arguments.tasks}
    return [
        {
            "task": task,
            "optimiser": optimiser,
            "told": arguments.told if optimiser in HEARS_NOISE else "nothing",
            "seed": seed,
            "trials": trials[task],
            "version": SEARCH_VERSION,
        }
        for seed, task, optimiser in itertools.product(range(arguments.seeds), arguments.tasks, arguments.optimisers)
    ]


def _search(job: dict, cache: Path) -> dict:
    """The job with what came of it: a value a trial (None if it failed), the best's place, setting and values anew.

    Place and setting are None if all trials failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        trained = Trained(job["task"], job["seed"], folder=Path(folder), cache=cache)
        timed = _Timed(trained if job["told"] == "folds" else lambda point: replace(trained(point), sem=None))
        started = time.process_time()
        trials = OPTIMISERS[job["optimiser"]](trained.space, timed, job["trials"], 1, job["seed"])
        cpu = time.process_time() - started
        values = [trial.outcome.mean for trial in trials]
        best = max(
            (place for place, value in enumerate(values) if value is not None), key=values.__getitem__, default=None
        )
        parameters = None if best is None else dict(trials[best].parameters)
        anew = [] if parameters is None else [trained.anew(parameters, number).mean for number in range(ANEW)]
    costs = {"training_cpu": round(timed.cpu, 2), "search_cpu": round(cpu - timed.cpu, 2)}
    return {**job, "values": values, "best": best, "parameters": parameters, "anew": anew, **costs}


class _Timed:
    """An objective, and the CPU seconds that its calls took."""

    def __init__(self, objective: Objective) -> None:
        self._objective, self.cpu = objective, 0.0

    def __call__(self, point: dict) -> Outcome:
        started = time.process_time()
        outcome = self._objective(point)
        self.cpu += time.process_time() - started
        return outcome


if __name__ == "__main__":
    main(sys.argv[1:])
