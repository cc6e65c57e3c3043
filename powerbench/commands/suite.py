"""Run a suite, or show how far it is: several methods under one protocol, one table at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from powerbench.commands.flags import ROOT_FLAGS, WORK_FLAGS, check_work_flags, positionals, work_of
from powerbench.config.argv import parse
from powerbench.console import complain, say
from powerbench.errors import PowerbenchError, UserError
from powerbench.roots import Roots, find_roots

if TYPE_CHECKING:
    from powerbench.config.argv import FlagType
    from powerbench.driver.preparing import Prepared
    from powerbench.driver.suites import Part, Suite
    from powerbench.store.store import Store

HELP = """\
usage: python run.py suite FILE|NAME [--methods [a, b]] [--workers W] [--devices 0,1] [--stop_after 11h30m]
                          [--<key> VALUE] [folders]
       python run.py suite FILE|NAME --table [folders]

Searches, reproduces and evaluates every method of the suite, each with the same budget, folds and seeds, and
prints one table (one for each protocol, if the suite has several). What is done already is not done again: the
same command continues after an interruption, trains a method that was added to the file, or prints the table.
A method that fails does not stop the others (the exit status is then 1).

--methods trains these of its methods only (on several machines, say, that share a results store).
--table prints and writes the table of what is recorded so far, with counts done/planned, and trains nothing.

`python run.py list suites` names the suites that come with powerbench; `python run.py validate suite FILE|NAME`
shows the plan and what it will cost. The README describes the file.
"""

FLAGS: dict[str, FlagType] = {
    "table": bool,
    "methods": list,
    "merge_argparse_when_resuming": bool,
    **ROOT_FLAGS,
    **WORK_FLAGS,
}


def run(words: list[str]) -> int:
    """Run or continue the suite, or print its tables."""
    names, rest = positionals(words)
    if len(names) != 1:
        raise UserError("suite takes one suite: python run.py suite FILE|NAME")
    line = parse(rest, FLAGS)
    check_work_flags(line.flags)
    if line.config_names:
        raise UserError("a suite's file says which configs its methods use; change single keys with --<key> VALUE.")
    roots = find_roots(line.flags)
    from powerbench.driver.suites import load_suite, only

    merge = bool(line.flags.get("merge_argparse_when_resuming"))
    suite = load_suite(names[0], root=roots.config_folder, merge=merge, overrides=line.overrides)
    chosen = only(suite, line.flags["methods"]) if "methods" in line.flags else suite
    return _show(suite, roots) if line.flags.get("table") else _run(suite, chosen, roots, line.flags)


def _show(suite: Suite, roots: Roots) -> int:
    from powerbench.driver.stores import existing_store

    with existing_store(roots) as store:
        known = {row.name for row in store.experiments()} if store else set()
        started = [part for part in suite.parts if known.intersection(part.experiments.values())]
        if store is None or not started:
            raise UserError(f"no method of {suite.name} has been started in {roots.store_url}.")
        for part in started:
            _print_table(suite, part, roots, store)
    for part in suite.parts:
        if part not in started:
            say(f"\n{part.title}: not started")
    return 0


def _run(suite: Suite, chosen: Suite, roots: Roots, flags: dict[str, Any]) -> int:
    """Run the chosen methods, and print the tables of the whole suite."""
    from powerbench.driver.stores import open_store
    from powerbench.driver.suite_running import prepare_part, run_part, take_up_folders

    prepared = [prepare_part(part, roots) for part in chosen.parts]
    _print_notes(prepared)
    failed: list[str] = []
    with open_store(roots) as store:
        for part in suite.parts:
            take_up_folders(part, roots, store)
        if any(prepared):
            with work_of(flags) as work:
                for part, methods in zip(chosen.parts, prepared, strict=True):
                    failed += run_part(part, methods, roots, store, work)
        for part in suite.parts:
            _print_table(suite, part, roots, store)
    if failed:
        total = sum(len(part.requests) for part in chosen.parts)
        raise PowerbenchError(f"{len(failed)} of {total} experiments failed: {', '.join(failed)}.")
    return 0


def _print_notes(prepared: list[dict[str, Prepared]]) -> None:
    for note in sorted({note for methods in prepared for item in methods.values() for note in item.notes}):
        complain(f"note: {note}")


def _print_table(suite: Suite, part: Part, roots: Roots, store: Store) -> None:
    from meta_logs.suite import print_suite, write_suite
    from powerbench.driver.suite_running import planned_budgets

    folder = roots.experiments / "meta_logs" / part.name
    planned = planned_budgets(part, store)
    write_suite(store, part.experiments, folder, title=part.title, planned=planned)
    if len(suite.parts) > 1:
        say("")
    print_suite(store, part.experiments, say, title=part.title, planned=planned)
    say(f"\nTables (csv, md, tex): {folder}")
