"""How good the search is: ours, Ax's fast default, Sobol, random and the published runs on published response surfaces.

Every optimiser searches the same surfaces with the same noise; what it finds is judged by the noise-free surface. Each
search is one line of ``searches.jsonl`` in ``--output``: an interrupted run continues, and parts add up. From all lines
there, ``search_quality.md`` and ``.png`` are written anew. Without options a small part runs, some minutes; ``--full``
is all published surfaces, ten seeds of 50 trials, which takes CPU hours. Other options choose a part of either, or
the surfaces that are derived from the published ones.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import _search_report
from benchmarks._optimisers import HEARS_NOISE, OPTIMISERS
from benchmarks._search_report import COMPARED, KEY, MODEL_FREE, PUBLISHED
from benchmarks._searches import run_missing
from benchmarks._surfaces import Noisy, surfaces
from powerbench.protocol import SEARCH_VERSION

TOLD = ("nothing", "folds", "sd")
SMALL = {
    "surfaces": ["cub_triplet", "cub_proxy_nca"],
    "seeds": 3,
    "trials": 25,
    "noise": [0.003],
    "told": ["nothing"],
    "parallel": [1],
}
FULL = {
    "surfaces": [name for name, surface in surfaces().items() if surface.published],
    "seeds": 10,
    "trials": 50,
    "noise": [0.003, 0.02],
    "told": list(TOLD),
    "parallel": [1, 4],
}


def main(words: Sequence[str]) -> None:
    """Run the searches that are asked for and not yet there, then report all."""
    arguments = _arguments(words)
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    file = output / "searches.jsonl"
    rows = run_missing(_wanted(arguments), file, KEY, _search, _search_report.line, arguments.processes)
    _search_report.write(rows, output)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="benchmarks/results/search_quality")
    parser.add_argument("--full", action="store_true", help="the published surfaces, all settings, 10 seeds, 50 trials")
    parser.add_argument("--surfaces", nargs="+", choices=list(surfaces()))
    parser.add_argument("--seeds", type=int, help="seeds 0 to SEEDS - 1")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--noise", nargs="+", type=float, help="standard deviations")
    parser.add_argument("--told", nargs="+", choices=TOLD, help="what optimisers hear of the noise")
    parser.add_argument("--parallel", nargs="+", type=int)
    parser.add_argument("--optimisers", nargs="+", choices=COMPARED, default=list(COMPARED))
    parser.add_argument("--processes", type=int, default=1)
    whole = parser.parse_known_args(words)[0].full
    parser.set_defaults(**(FULL if whole else SMALL))
    return parser.parse_args(words)


def _wanted(arguments: argparse.Namespace) -> list[dict]:
    """All searches that were asked for; seeds in the outermost loop, so that an early table is a fair one."""
    wanted = []
    axes = (range(arguments.seeds), arguments.surfaces, arguments.noise, arguments.told, arguments.parallel)
    for seed, surface, noise, told, parallel in itertools.product(*axes):
        for optimiser in arguments.optimisers:
            job = {"surface": surface, "optimiser": optimiser, "noise": noise, "told": told, "parallel": parallel}
            if optimiser not in HEARS_NOISE:
                job["told"] = "nothing"
            if optimiser in MODEL_FREE:
                job["parallel"] = 1
            job |= {"seed": 0 if optimiser == PUBLISHED else seed, "trials": arguments.trials}
            job["version"] = SEARCH_VERSION
            if job not in wanted and (optimiser != PUBLISHED or surfaces()[surface].published):
                wanted.append(job)
    return wanted


def _search(job: dict) -> dict:
    """The job with what came of it: noise-free and observed values in trial order, CPU seconds."""
    objective = Noisy(surfaces()[job["surface"]], job["noise"], job["told"], job["seed"])
    started = time.process_time()
    points = _points(job, objective)
    cpu = time.process_time() - started
    values = [objective.surface.value(point) for point in points]
    observed = [objective(point).mean for point in points]
    return {**job, "best": objective.surface.best, "values": values, "observed": observed, "cpu": round(cpu, 2)}


def _points(job: dict, objective: Noisy) -> list[dict]:
    if job["optimiser"] == PUBLISHED:
        return list(objective.surface.published[: job["trials"]])
    optimiser = OPTIMISERS[job["optimiser"]]
    trials = optimiser(objective.surface.space, objective, job["trials"], job["parallel"], job["seed"])
    return [trial.parameters for trial in trials]


if __name__ == "__main__":
    main(sys.argv[1:])
