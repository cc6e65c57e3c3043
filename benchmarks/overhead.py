"""What a training run costs beside its model's own forward, backward and optimiser steps.

BN-Inception (random weights) at 64 px on Emoji200, four folds, evaluation every epoch, run as a user runs it: a process
of its own, all imports included. In one process (``--workers 1``) a table says where wall and CPU time went; with more,
where the workers' time is not looked into, the model's seconds are those that the fold runs recorded. ``--search``
measures a search of two parameters instead: three trials, one reproduction and both evaluations on the test split.
``--other 'COMMAND'`` times another program that does the same work, in turn with ours. Compilation of what measures
embeddings, and of Python's modules, is excluded: both are done before, as for an installed package.
"""

from __future__ import annotations

import argparse
import compileall
import json
import resource
import shlex
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks._bninception import OVERRIDES
from benchmarks._ledger import MODEL
from powerbench.evaluation import measure

SEARCH = ["--config_loss_and_miners", "[contrastive]", "--bayes_opt_iters", "3", "--reproductions", "1"]


@dataclass(frozen=True)
class Run:
    """One run: seconds of the process and all it started, the ledger of its own process, the models' seconds."""

    wall: float
    cpu: float
    ledger: dict
    recorded: float

    @property
    def parts(self) -> dict[str, list[float]]:
        """Part -> wall and CPU seconds of the process."""
        booked = sum(wall for wall, _ in self.ledger["seconds"].values())
        return {**self.ledger["seconds"], "the interpreter's end": [self.wall - booked, 0.0]}


def main(words: Sequence[str]) -> None:
    """Run what the command line asks for, ``--repeats`` times, and print medians."""
    arguments = _arguments(words)
    _compile()
    ours, others = [], []
    for _ in range(arguments.repeats):
        ours.append(_ours(arguments))
        if arguments.other:
            others.append(_timed(shlex.split(arguments.other)))
    _print_totals(ours, arguments)
    if others:
        wall, cpu = (median(values) for values in zip(*others, strict=True))
        print(f"the other program: {wall:.1f} s wall, {cpu:.1f} s CPU")
    if arguments.workers == 1:
        _print_parts(sorted(ours, key=lambda run: run.wall)[len(ours) // 2])


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks overhead", description=__doc__)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=10, help="training steps an epoch")
    parser.add_argument("--data_workers", type=int, default=2, help="loader processes for training, and for evaluation")
    parser.add_argument("--workers", type=int, default=1, help="fold runs at a time")
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--other", help="a command that does the same work by another program")
    return parser.parse_args(words)


def _compile() -> None:
    """Compile our modules, and measure embeddings; the compiled code is kept on disk for the runs.

    As many embeddings as the runs have, on few axes as those of trained models: others are counted by other code.
    """
    generator = np.random.default_rng(0)
    for size, width in ((180, 128), (720, 128), (720, 512)):
        values = generator.normal(size=(size, width)) / np.arange(1, width + 1)
        measure(values.astype(np.float32), np.arange(size) // 7, ["map_at_r", "precision_at_1", "r_precision"])
    for package in ("powerbench", "meta_logs", "split_managers", "benchmarks"):
        compileall.compile_dir(Path(__file__).parents[1] / package, quiet=1)


def _ours(arguments: argparse.Namespace) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "ledger.json")
        words = [sys.executable, "-m", "benchmarks._ledger", str(report), repr(time.monotonic())]
        wall, cpu = _timed([*words, *_words(arguments, folder)])
        ledger = json.loads(report.read_text())
        return Run(wall, cpu, ledger, _recorded(Path(folder, "results.sqlite")))


def _words(arguments: argparse.Namespace, folder: str) -> list[str]:
    trainer = {"iterations_per_epoch": arguments.iterations, "dataloader_num_workers": arguments.data_workers}
    settings = {
        "num_epochs_train": arguments.epochs,
        "save_interval": 1,
        "patience": None,
        "check_untrained_accuracy": False,
        "trainer~APPLY~2": trainer,
        "tester~APPLY~2": {"dataloader_num_workers": arguments.data_workers},
    }
    words = ["--experiment_name", "overhead", "--root_experiment_folder", folder, "--config_dataset", "[demo]"]
    words += ["--workers", str(arguments.workers), *(SEARCH if arguments.search else [])]
    for key, value in {**settings, **OVERRIDES}.items():
        words += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return words


def _timed(command: list[str]) -> tuple[float, float]:
    """Wall seconds, and CPU seconds of the process and all that it waited for."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _recorded(store: Path) -> float:
    """The seconds that the models of all fold runs computed in training and validation."""
    with sqlite3.connect(store) as connection:
        return float(connection.execute("SELECT sum(model_seconds) FROM runs").fetchone()[0])


def _print_totals(runs: list[Run], arguments: argparse.Namespace) -> None:
    wall, cpu = median(run.wall for run in runs), median(run.cpu for run in runs)
    recorded = median(run.recorded for run in runs)
    what = "3 search trials, 1 reproduction, tests" if arguments.search else "1 trial"
    print(
        f"{what}; 4 folds x {arguments.epochs} epochs x {arguments.iterations} steps of 32 images; "
        f"{arguments.workers} workers, {arguments.data_workers} data workers each; {len(runs)} runs\n"
        f"total {wall:.1f} s wall, {cpu:.1f} s CPU; models in training and validation {recorded:.1f} s"
    )


def _print_parts(run: Run) -> None:
    """A line a part, the largest first, each against the model's own time."""
    parts = run.parts
    model = parts.pop(MODEL)
    print(f"first step after {run.ledger['first_step']:.1f} s CPU; {run.wall / model[0] - 1:.1%} on top of the model's")
    print("| part | wall s | CPU s | wall, of the model's |\n|---|---|---|---|")
    for name, (wall, cpu) in [(MODEL, model), *sorted(parts.items(), key=lambda item: -item[1][0])]:
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {wall / model[0]:.1%} |")
