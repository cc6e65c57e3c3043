"""Searches as lines of a file: those that are missing run in processes, each one's line is written as it ends."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_missing(
    wanted: Sequence[dict],
    file: Path,
    key: Sequence[str],
    search: Callable[[dict], dict],
    line: Callable[[dict], str],
    processes: int,
) -> list[dict]:
    """All searches in ``file``, once those of ``wanted`` that it lacks have run, ``processes`` at a time.

    ``search`` gives a job back with what came of it; ``line`` says it for people. ``key`` names what tells one search
    from another; one with fewer trials than wanted is run again.
    """
    longest = {_values(row, key): row["trials"] for row in read(file, key)}
    missing = [job for job in wanted if longest.get(_values(job, key), 0) < job["trials"]]
    print(f"{len(missing)} searches to run", flush=True)
    if missing:
        _run(missing, file, search, line, processes)
    return read(file, key)


def read(file: Path, key: Sequence[str]) -> list[dict]:
    """The longest run of every search. A last line that an interruption cut off is left out."""
    rows: dict[tuple, dict] = {}
    for text in file.read_text().splitlines() if file.exists() else []:
        try:
            row = json.loads(text)
        except json.JSONDecodeError:
            continue
        if row["trials"] >= rows.get(_values(row, key), row)["trials"]:
            rows[_values(row, key)] = row
    return list(rows.values())


def _values(row: dict, key: Sequence[str]) -> tuple:
    return tuple(row[name] for name in key)


def _run(
    jobs: list[dict], file: Path, search: Callable[[dict], dict], line: Callable[[dict], str], processes: int
) -> None:
    os.environ.update(dict.fromkeys(THREADS, "1"))  # the processes inherit it
    cut_off = file.exists() and not file.read_text().endswith("\n")
    with multiprocessing.get_context("spawn").Pool(processes) as pool, file.open("a") as lines:
        if cut_off:
            lines.write("\n")
        for row in pool.imap_unordered(search, jobs):
            print(json.dumps(row), file=lines, flush=True)
            print(line(row), flush=True)
