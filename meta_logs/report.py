"""The report of one experiment: files in its ``meta_logs`` folder, or text on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from meta_logs.figures import figures_of
from meta_logs.page import report_page
from meta_logs.results import ExperimentResults, results_of
from meta_logs.table import Table
from meta_logs.tables import results_table, trials_table
from powerbench.files import write_atomic
from powerbench.store.store import Store


def write_report(store: Store, name: str, folder: Path) -> None:
    """Write an experiment's tables (``results``, ``trials``), figures and ``report.html`` into ``folder``."""
    results = results_of(store, name)
    results_table(results).write(folder, "results")
    trials_table(results).write(folder, "trials")
    figures = figures_of(results)
    for figure, png in figures.items():
        write_atomic(folder / f"{figure}.png", png)
    write_atomic(folder / "report.html", report_page(results, figures))


def print_report(store: Store, name: str, say: Callable[[str], object]) -> None:
    """Print an experiment's results on test (or what there is), and what failed."""
    results = results_of(store, name)
    say(_shown(results).text)
    failed = [trial for trial in results.trials if trial.state == "failed"]
    for trial in failed:
        say(f"{trial.kind} trial {trial.number} failed: {trial.error_kind}: {trial.error}")


def _shown(results: ExperimentResults) -> Table:
    """The test results if there are any, else all; else the trials."""
    if not results.summaries:
        return trials_table(results)
    on_test = tuple(row for row in results.summaries if row.split == "test")
    return results_table(replace(results, summaries=on_test) if on_test else results)
