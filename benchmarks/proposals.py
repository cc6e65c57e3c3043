"""What a proposal costs: CPU seconds of the one after 50 trials, by the number of parameters.

They are floats, whole numbers and, last, a list. Each row is a process of its own, which continues a search of 50
trials: its first proposal includes all imports and the reading of these trials, later ones (the median of other seeds'
searches) do not include imports.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

TRIALS = 50
SEEDS = 5
SPACE: dict[str, Any] = {
    "lr~LOG_BAYESIAN~": [1e-6, 1],
    "margin~BAYESIAN~": [0, 1],
    "m~INT_BAYESIAN~": [2, 16],
    "scale~LOG_BAYESIAN~": [0.01, 100],
    "centers~INT_BAYESIAN~": [1, 100],
    "power~CHOICE_BAYESIAN~": [1, 2, 4],
}


def main(words: Sequence[str] = ()) -> None:
    """Print a row for each number of parameters, 1 to 6."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks proposals", description=__doc__)
    parser.add_argument("--parameters", type=int, nargs="+", default=list(range(1, len(SPACE) + 1)))
    print("| parameters | first proposal of a process, CPU s | later ones, CPU s |\n| --- | --- | --- |")
    for count in parser.parse_args(words).parameters:
        command = [sys.executable, "-m", "benchmarks.proposals", str(count)]
        seconds = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"| {count} | {seconds[0]:.2f} | {statistics.median(seconds[1:]):.2f} |", flush=True)


def _proposals(parameters: int) -> list[float]:
    """CPU seconds until each of some proposals, the first one's with all that the process did before."""
    from powerbench.search import optimise

    searched = dict(list(SPACE.items())[:parameters])
    seconds, started = [], 0.0
    for seed in range(SEEDS + 1):
        history = list(optimise(searched, _hill, TRIALS, seed=seed, strategy="random").trials)
        optimise(searched, _hill, TRIALS + 1, seed=seed, history=history)
        seconds.append(time.process_time() - started)
        started = time.process_time()
    return seconds


def _hill(point: dict) -> float:
    """Highest in the lower third of every range and list."""
    gaps = []
    for key, values in SPACE.items():
        value = point.get(key.split("~")[0], values[0])
        place = (
            values.index(value) / (len(values) - 1)
            if "CHOICE" in key
            else (value - values[0]) / (values[-1] - values[0])
        )
        gaps.append(place - 0.3)
    return -sum(gap**2 for gap in gaps)


if __name__ == "__main__":
    print(json.dumps(_proposals(int(sys.argv[1]))))
