"""MAP@R, R-precision and precision@1: powerbench against pytorch-metric-learning's AccuracyCalculator (faiss).

Both measure the same synthetic embeddings in turn, each in a process of its own that waits while the other works.
Writes ``retrieval.md`` and ``retrieval.png`` into ``--output``; takes about 13 minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks._class_structured import DECAY
from benchmarks._retrieval_worker import ACCURACY_CALCULATOR, POWERBENCH

Row = dict[str, Any]

SETS = {"CUB": (5_924, 128, 7), "Cars": (8_131, 512, 7), "SOP": (60_502, 128, 2)}
"""Items, dimensions, and how often each engine measures: classes are as many and as large as in the test sets."""
EASY, HARD, EVEN_EASY, EVEN_HARD = "easy", "hard", "easy, even axes", "hard, even axes"
SPREADS = {
    "CUB": {EASY: (0.83, DECAY), HARD: (1.25, DECAY)},
    "Cars": {EASY: (1.4, DECAY), HARD: (1.9, DECAY)},
    "SOP": {EASY: (0.66, DECAY), HARD: (0.93, DECAY), EVEN_EASY: (1.17, 0.0), EVEN_HARD: (1.52, 0.0)},
}
"""Of the items of a class around its centre, for an easy and for a hard separation of the classes; and how fast the
lengths of the axes fall."""
GROWTH = (1_000, 3_000, 10_000, 30_000, 100_000, 200_000)
ACCURACY_CALCULATOR_UP_TO = 60_502
"""Items. It would take minutes on more."""
RESULTS = Path("benchmarks/results")


def main(words: Sequence[str]) -> None:
    """Measure the sets, and how the cost grows with the number of items."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks retrieval", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repetitions", type=int, help="of each measurement (default: 7, 7 and 2 for the sets)")
    parser.add_argument("--growth", nargs="*", type=int, default=list(GROWTH), help="items, with SOP's class sizes")
    asked = parser.parse_args(words)
    rows: list[Row] = []
    for name in asked.sets:
        items, dimensions, usual = SETS[name]
        for separation, (spread, decay) in SPREADS[name].items():
            for threads in asked.threads:
                data = {"set": name, "separation": separation, "spread": spread, "decay": decay, "items": items}
                job = {**data, "dimensions": dimensions, "threads": threads}
                rows += _side_by_side(job, asked.repetitions or usual)
    grown: list[Row] = [row for row in rows if row["set"] == "SOP" and (row["separation"], row["threads"]) == (EASY, 1)]
    for items in asked.growth:
        spread, decay = SPREADS["SOP"][EASY]
        data = {"set": "SOP", "separation": EASY, "spread": spread, "decay": decay, "items": items}
        grown += _side_by_side({**data, "dimensions": 128, "threads": 1}, 1)

    from benchmarks._retrieval_page import write

    write(rows, grown, asked.output)


def _side_by_side(job: Row, repetitions: int) -> list[Row]:
    """Rows of all engines in turn."""
    engines = [POWERBENCH] + [ACCURACY_CALCULATOR] * (job["items"] <= ACCURACY_CALCULATOR_UP_TO)
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker({**job, "engine": engine})) for engine in engines]
        return [_once(worker) for _ in range(repetitions) for worker in workers]


@contextmanager
def _worker(job: Row) -> Iterator[subprocess.Popen[str]]:
    """A process that has prepared everything and waits: another's preparation would slow a measurement."""
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(job["threads"]))
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._retrieval_worker", json.dumps(job)],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        _line(process)
        yield process  # leaving closes its input, which ends it


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        sys.exit(f"a measurement failed (exit status {worker.wait()})")
    return line


def _once(worker: subprocess.Popen[str]) -> Row:
    assert worker.stdin is not None
    print("measure", file=worker.stdin, flush=True)
    row: Row = json.loads(_line(worker))
    print(
        f"{row['set']} {row['separation']}, {row['items']} x {row['dimensions']}, {row['threads']} threads, "
        f"{row['engine']}: {row['cpu_s']:.2f} CPU s, {row['wall_s']:.2f} s, {row['added_mib']:.0f} MiB, "
        f"MAP@R {row['map_at_r']:.3f}",
        flush=True,
    )
    return row
