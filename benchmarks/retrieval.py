"""MAP@R, R-precision and precision@1: powerbench against pytorch-metric-learning's AccuracyCalculator (faiss).

Both measure the same synthetic embeddings in turn, in fresh processes, with 1 and 2 threads: CPU seconds, wall, memory
added at the peak, and the share of the time that the matrix products alone would take at this machine's speed
(N^2 D operations: each pair of items once). Compilation is excluded: powerbench measures a small set first.
Writes ``retrieval.csv``, ``retrieval.md`` and ``retrieval.png`` (cost against N) into ``--output``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks._class_structured import CLASSES, embeddings, sizes_like

METRICS = ("map_at_r", "r_precision", "precision_at_1")
SETS = {"CUB": (128, 1.45, 2.0), "Cars": (512, 2.4, 3.2), "SOP": (128, 1.17, 1.52)}
"""Dimensions, and the spread of the classes at an easy and at a hard separation."""
GROWTH = (1000, 3000, 10_000, 30_000, 60_502, 200_000)
PML_UP_TO = 60_502


def main() -> None:
    """Run what the command line asks for; ``--job`` is a single measurement in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="benchmarks/results")
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--growth", nargs="*", type=int, default=list(GROWTH))
    parser.add_argument("--job")
    arguments = parser.parse_args(sys.argv[2:] if sys.argv[1:2] == ["retrieval"] else None)
    if arguments.job:
        print(json.dumps(_measured(**json.loads(arguments.job))))
        return
    rows = []
    for name in arguments.sets:
        width, *spreads = SETS[name]
        for spread in spreads:
            for threads in arguments.threads:
                for _ in range(arguments.repetitions):
                    for engine in ("powerbench", "pytorch-metric-learning"):
                        rows.append(_in_process(engine, name, width, spread, threads))
    for count in arguments.growth:
        for engine in ("powerbench", *(["pytorch-metric-learning"] if count <= PML_UP_TO else [])):
            rows.append(_in_process(engine, str(count), 128, SETS["SOP"][1], 1))
    _write(rows, Path(arguments.output))


def _in_process(engine: str, name: str, width: int, spread: float, threads: int) -> dict:
    job = {"engine": engine, "name": name, "width": width, "spread": spread, "threads": threads}
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, "-m", "benchmarks.retrieval", "--job", json.dumps(job)]
    done = subprocess.run(command, env={**os.environ, **limits}, check=True, capture_output=True, text=True)
    row = json.loads(done.stdout.splitlines()[-1])
    print(_line(row), flush=True)
    return row


def _measured(engine: str, name: str, width: int, spread: float, threads: int) -> dict:
    """One measurement; the same data for both engines."""
    counts = CLASSES[name]() if name in CLASSES else sizes_like(CLASSES["SOP"](), int(name))
    x, labels = embeddings(counts, width, spread)
    work = _ours(threads) if engine == "powerbench" else _theirs(threads)
    work(x[:1500], labels[:1500])
    base, peak, stop = _resident(), [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(peak, stop))
    watcher.start()
    cpu, wall = time.process_time(), time.perf_counter()
    values = work(x, labels)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    stop.set()
    watcher.join()
    floor = len(x) ** 2 * width / (_flops(threads) * 1e9)
    return {
        "engine": engine, "set": name, "items": len(x), "dimensions": width, "spread": spread, "threads": threads,
        "cpu_s": cpu, "wall_s": wall, "added_mib": max(0, peak[0] - base) / 2**20, "floor_s": floor,
        "floor_share": floor / wall, **values,
    }  # fmt: skip


def _ours(threads: int):
    from powerbench.evaluation import measure

    return lambda x, labels: measure(x, labels, METRICS, threads=threads)


def _theirs(threads: int):
    import faiss
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    faiss.omp_set_num_threads(threads)
    torch.set_num_threads(threads)
    include = ("mean_average_precision_at_r", "r_precision", "precision_at_1")
    calculator = AccuracyCalculator(include=include, k="max_bin_count")

    def work(x, labels):
        found = calculator.get_accuracy(torch.from_numpy(x), torch.from_numpy(labels))
        return {ours: found[theirs] for ours, theirs in zip(METRICS, include, strict=True)}

    return work


def _flops(threads: int) -> float:
    """The machine's speed at float32 matrix products, in 10^9 operations a second: the best of a few."""
    a = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - started)
    return 2 * 2048**3 / min(times) / 1e9


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except FileNotFoundError:  # not Linux: the largest so far
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _watch(peak: list[int], stop: threading.Event) -> None:
    while not stop.wait(0.005):
        peak[0] = max(peak[0], _resident())


def _line(row: dict) -> str:
    size, share = f"{row['items']} x {row['dimensions']}", f"{row['floor_share']:.0%}"
    cost = f"{row['cpu_s']:.2f} | {row['wall_s']:.2f} | {row['added_mib']:.0f} | {share}"
    return f"| {row['set']} | {size} | {row['map_at_r']:.3f} | {row['threads']} | {row['engine']} | {cost} |"


def _write(rows: list[dict], folder: Path) -> None:
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "retrieval.csv", index=False)
    keys = ["set", "items", "dimensions", "spread", "threads", "engine"]
    medians = frame.groupby(keys, sort=False).median(numeric_only=True).reset_index()
    titles = ["set", "size", "MAP@R", "threads", "engine", "CPU s", "wall s", "MiB added", "products' share of wall"]
    head = f"| {' | '.join(titles)} |\n" + "|---" * len(titles) + "|"
    lines = [head, *(_line(row) for row in medians.to_dict("records"))]
    (folder / "retrieval.md").write_text("\n".join(lines) + "\n")
    _plot(medians[medians["set"].str.isdigit()], folder / "retrieval.png")


def _plot(frame, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for engine, part in frame.groupby("engine", sort=False):
        axes.plot(part["items"], part["cpu_s"], marker="o", label=engine)
    ours = frame[frame["engine"] == "powerbench"]
    axes.plot(ours["items"], ours["floor_s"], linestyle="--", color="grey", label="matrix products alone")
    axes.set(
        xscale="log", yscale="log", xlabel="items (128 dimensions, class sizes of SOP)", ylabel="CPU seconds, 1 thread"
    )
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()
