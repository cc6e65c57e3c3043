"""MAP@R, R-precision and precision@1 on a GPU: seconds, memory of the device, and whether the values are the CPU's.

Measures as many classes, as large, as the test set of Stanford Online Products has (60,502 x 128), and a million items
of its class sizes. The CPU measures the first only.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch

from benchmarks._class_structured import CLASSES, embeddings, sizes_like
from benchmarks._retrieval_worker import METRICS
from benchmarks.retrieval import SPREADS
from powerbench.evaluation import measure
from powerbench.evaluation.ranking.backends import Backend

REPETITIONS = 5


def main(words: Sequence[str]) -> None:
    """Print a line for each number of items and separation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks retrieval_on_gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--items", nargs="+", type=int, default=[60_502, 1_000_000])
    parser.add_argument("--memory", type=int, default=Backend().memory, help="bytes for tiles (default: %(default)s)")
    asked = parser.parse_args(words)
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        print("torch finds no GPU here: nothing measured")
        return
    for items in asked.items:
        for separation, (spread, decay) in SPREADS["SOP"].items():
            _measure(items, separation, spread, decay, Backend("torch", asked.device, asked.memory))


def _measure(items: int, separation: str, spread: float, decay: float, backend: Backend) -> None:
    of_sop = CLASSES["SOP"]()
    counts = of_sop if items == of_sop.sum() else sizes_like(of_sop, items)
    x, labels = embeddings(counts, 128, spread, decay=decay)
    measure(x[:1500], labels[:1500], METRICS, backend=backend)  # compiles, and starts the device's libraries
    times, on_gpu = [], backend.device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(backend.device)
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        found = measure(x, labels, METRICS, backend=backend)
        times.append(time.perf_counter() - started)
    said = f"{len(x):,} x 128, {separation}: MAP@R {found['map_at_r']:.3f}, {min(times):.3f}-{max(times):.3f} s"
    if on_gpu:
        said += f", {torch.cuda.max_memory_allocated(backend.device) / 2**20:.0f} MiB of the device"
    if len(x) <= of_sop.sum():
        started = time.perf_counter()
        equal = measure(x, labels, METRICS) == found
        said += f"; CPU {time.perf_counter() - started:.2f} s, values {'equal' if equal else 'DIFFERENT'}"
    print(said, flush=True)
