"""What a search leaves on disk: BN-Inception (random weights, 64 px), four folds, epochs of one iteration.

Only the weights of the best trial and of the reproductions are kept; the rest is tables, figures and the store.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks._bninception import OVERRIDES
from powerbench.cli import main as powerbench

MEGABYTE = 1e6


def main(words: Sequence[str]) -> None:
    """Run a search of two trials with one reproduction, and count bytes."""
    argparse.ArgumentParser(prog="python -m benchmarks disk_use", description=__doc__).parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--experiment_name", "disk", "--root_experiment_folder", folder, "--config_dataset", "[demo]"]
        flags += ["--bayes_opt_iters", "2", "--reproductions", "1", "--config_loss_and_miners", "[contrastive]"]
        flags += ["--num_epochs_train", "1"]
        flags += ["--trainer~APPLY~2", "{iterations_per_epoch: 1, dataloader_num_workers: 0}"]
        for key, value in OVERRIDES.items():
            flags += [f"--{key}", value]
        status = powerbench(flags)
        if status:
            raise SystemExit(status)
        sizes = {path: path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()}
    weights = {path: size for path, size in sizes.items() if path.suffix == ".pth"}
    trials = {path.parent.parent for path in weights}
    print(
        f"{len(trials)} kept trials: {sum(weights.values()) / len(trials) / MEGABYTE:.0f} MB of weights each; "
        f"everything else {(sum(sizes.values()) - sum(weights.values())) / MEGABYTE:.1f} MB"
    )
