"""A world in which a whole search takes seconds, driven through the command line as a user would."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import yaml

from powerbench.cli import main
from tests.training import tiny

SEARCH = "loss_funcs~OVERRIDE~: {metric_loss: {ContrastiveLoss: {neg_margin~BAYESIAN~: [0, 1]}}}"
RESULTS = {
    "trials": "select e.name, kind, number, parameters, state, error_kind, mean, sem from trials t "
    "join experiments e on e.id = t.experiment_id order by 1, 2, 3",
    "runs": "select e.name, kind, number, fold, r.seed, r.state, split_checksum, best_epoch, best_value, epochs, iterations "
    "from runs r join trials t on t.id = r.trial_id join experiments e on e.id = t.experiment_id order by 1, 2, 3, 4",
    "measurements": "select e.name, kind, number, fold, split, epoch, weights, metric, value from measurements m "
    "join runs r on r.id = m.run_id join trials t on t.id = r.trial_id join experiments e on e.id = t.experiment_id "
    "order by 1, 2, 3, 4, 5, 6, 7, 8",
    "losses": "select e.name, kind, number, fold, epoch, l.name, value from losses l join runs r on r.id = l.run_id "
    "join trials t on t.id = r.trial_id join experiments e on e.id = t.experiment_id order by 1, 2, 3, 4, 5, 6",
    "evaluations": "select e.name, kind, number, split, mode, weights, metric, value, v.sem from evaluations v "
    "join trials t on t.id = v.trial_id join experiments e on e.id = t.experiment_id order by 1, 2, 3, 4, 5, 6, 7",
    "summaries": "select e.name, split, mode, weights, metric, n, mean, sem, ci_low, ci_high, confidence from summaries s "
    "join experiments e on e.id = s.experiment_id order by 1, 2, 3, 4, 5",
}
"""What must not depend on how often a command was interrupted: everything but ids, times and places."""


class World:
    """A folder to run commands in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "experiments"
        noisy = {**tiny.CONFIG, "dataset": {tiny.named("TinyImages"): {"noise": 150.0}}}  # so that trials differ
        self.write("tiny", {f"{key}~OVERRIDE~": value for key, value in noisy.items()})

    def write(self, name: str, content: dict) -> Path:
        """A YAML file that the commands can name."""
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    def words(
        self, name: str, *more: str, trials: int = 0, reproductions: int = 0, search: bool | None = None
    ) -> list[str]:
        """The command line of an experiment in the tiny world."""
        words = ["--experiment_name", name, "--config_general", f"[default, {self.folder / 'tiny.yaml'}]"]
        words += ["--root_experiment_folder", str(self.root), "--cache_dir", str(self.folder / "cache")]
        if trials:
            words += ["--bayes_opt_iters", str(trials)]
        if search if search is not None else trials:
            key, _, value = SEARCH.partition(": ")
            words += [f"--{key}", *value.split()]
        if reproductions:
            words += ["--reproductions", str(reproductions)]
        return [*words, *more]

    def run(self, name: str, *more: str, **budget) -> int:
        """Run it; the exit status."""
        return main(self.words(name, *more, **budget))

    def resume(self, name: str, *more: str) -> int:
        """Run it with nothing but its name and where it lies; the exit status."""
        places = ["--root_experiment_folder", str(self.root), "--cache_dir", str(self.folder / "cache")]
        return main(["--experiment_name", name, *places, *more])

    def rows(self, table: str, root: Path | None = None) -> list[tuple]:
        """The rows that two runs of the same commands must share."""
        connection = sqlite3.connect((root or self.root) / "results.sqlite")
        try:
            return connection.execute(RESULTS[table]).fetchall()
        finally:
            connection.close()

    def best(self, name: str) -> tuple:
        """The row of the best search trial."""
        return max((row for row in self.rows("trials") if row[:2] == (name, "search")), key=lambda row: row[6])

    def everything(self, root: Path | None = None) -> dict[str, list[tuple]]:
        """All of them."""
        return {table: self.rows(table, root) for table in RESULTS}

    def forget(self) -> None:
        """Start over."""
        shutil.rmtree(self.root, ignore_errors=True)
