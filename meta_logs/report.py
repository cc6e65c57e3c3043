"""The report of one experiment: files in its ``meta_logs`` folder, or text on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from meta_logs.figures import figures_of
from meta_logs.optimization.bounds import warnings_of
from meta_logs.optimization.outlook import outlook_text
from meta_logs.optimization.page import optimization_page
from meta_logs.optimization.search import search_of
from meta_logs.page import OPTIMIZATION_PAGE, report_page
from meta_logs.papers import write_papers
from meta_logs.results import ExperimentResults, results_of
from meta_logs.table import Table
from meta_logs.tables import results_table, trials_table
from powerbench.files import write_atomic
from powerbench.store.store import Store


def write_report(store: Store, name: str, folder: Path) -> None:
    """Write an experiment's tables (``results``, ``trials``), figures and pages into ``folder``.

    The pages are ``report.html`` and, for a search, ``optimization_plots.html``. Where papers' numbers are known for
    the loss and the dataset, there is also ``papers`` (see :mod:`meta_logs.papers`).
    """
    results = results_of(store, name)
    results_table(results).write(folder, "results")
    trials_table(results).write(folder, "trials")
    search = search_of(results)
    figures = figures_of(results, search)
    for figure, png in figures.items():
        write_atomic(folder / f"{figure}.png", png)
    interactive = optimization_page(search)
    if interactive is not None:
        write_atomic(folder / OPTIMIZATION_PAGE, interactive)
    papers = write_papers(store, results.experiment, folder)
    if papers is not None:
        figures["papers"] = papers
    write_atomic(folder / "report.html", report_page(results, figures))


def print_report(store: Store, name: str, say: Callable[[str], object], places: Sequence[str] = ()) -> None:
    """Print an experiment's results on test (or what there is), what failed, what a further
    search trial may bring, and whether a bound held the search back.

    ``places``: words of the command line that say where things lie, for commands that are printed.
    """
    results = results_of(store, name)
    say(_shown(results).text)
    failed = [trial for trial in results.trials if trial.state == "failed"]
    for trial in failed:
        say(f"{trial.kind} trial {trial.number} failed: {trial.error_kind}: {trial.error}")
    outlook = outlook_text(search_of(results))
    if outlook is not None:
        say(outlook)
    warnings, command = warnings_of(results, places)
    for warning in warnings:
        say(f"warning: {warning}")
    if command is not None:
        say(f"To widen the search:\n  {command}")


def _shown(results: ExperimentResults) -> Table:
    """The test results if there are any, else all; else the trials."""
    if not results.summaries:
        return trials_table(results)
    on_test = tuple(row for row in results.summaries if row.split == "test")
    return results_table(replace(results, summaries=on_test) if on_test else results)
