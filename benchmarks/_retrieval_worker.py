"""A process that measures one set of embeddings with one engine, as often as it is told to.

Started with a job as JSON (``engine``, ``set``, ``spread``, ``decay``, ``items``, ``dimensions``, ``threads``); for
each line that it reads it measures once and writes a row of JSON. Making the data, importing and compiling come before
the first.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._class_structured import CLASSES, embeddings, sizes_like

METRICS = ("map_at_r", "r_precision", "precision_at_1")
POWERBENCH, ACCURACY_CALCULATOR = "powerbench", "AccuracyCalculator"
SIDE = 2048
"""Rows and columns of the matrices by whose product the machine's speed is measured."""

Measure = Callable[[np.ndarray, np.ndarray], dict[str, float]]


def main() -> None:
    """Serve until standard input ends."""
    job = json.loads(sys.argv[1])
    counts = CLASSES[job["set"]]()
    if job["items"] != counts.sum():
        counts = sizes_like(counts, job["items"])
    x, labels = embeddings(counts, job["dimensions"], job["spread"], decay=job["decay"])
    measure = (_powerbench if job["engine"] == POWERBENCH else _accuracy_calculator)(job["threads"])
    measure(x[:1500], labels[:1500])
    _floor(*x.shape)  # the libraries' own buffers are there before memory is looked at
    before = _resident()
    print("ready", flush=True)
    for _ in sys.stdin:
        row = {**job, "items": len(x), "floor_s": _floor(len(x), x.shape[1]), **_measured(measure, x, labels, before)}
        print(json.dumps(row), flush=True)


def _measured(measure: Measure, x: np.ndarray, labels: np.ndarray, before: int) -> dict[str, float]:
    peak, stop = [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(peak, stop))
    watcher.start()
    cpu, wall = time.process_time(), time.perf_counter()
    values = measure(x, labels)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    stop.set()
    watcher.join()
    return {"cpu_s": cpu, "wall_s": wall, "added_mib": max(0, peak[0] - before) / 2**20, **values}


def _powerbench(threads: int) -> Measure:
    from powerbench.evaluation import measure

    return lambda x, labels: measure(x, labels, METRICS, threads=threads)


def _accuracy_calculator(threads: int) -> Measure:
    import faiss
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    faiss.omp_set_num_threads(threads)
    torch.set_num_threads(threads)
    include = ("mean_average_precision_at_r", "r_precision", "precision_at_1")
    calculator = AccuracyCalculator(include=include, k="max_bin_count")

    def measure(x: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        found: dict[str, Any] = calculator.get_accuracy(torch.from_numpy(x), torch.from_numpy(labels))
        return {ours: found[theirs] for ours, theirs in zip(METRICS, include, strict=True)}

    return measure


def _floor(items: int, dimensions: int) -> float:
    """CPU seconds of the matrix products alone, each pair of items once (N^2 D operations), at this moment's speed."""
    a = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype(np.float32)
    times = []
    for _ in range(4):
        started = time.process_time()
        a @ a
        times.append(time.process_time() - started)
    return items**2 * dimensions * min(times) / (2 * SIDE**3)


def _resident() -> int:
    """Bytes of memory that the process holds."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except FileNotFoundError:  # not Linux: the most it held so far
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _watch(peak: list[int], stop: threading.Event) -> None:
    while not stop.wait(0.005):
        peak[0] = max(peak[0], _resident())


if __name__ == "__main__":
    main()
