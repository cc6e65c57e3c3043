"""Run a suite: several methods under one protocol, one table at the end."""

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
    from powerbench.driver.suites import Suite
    from powerbench.store.store import Store

HELP = """\
usage: python run.py suite FILE|NAME [--workers W] [--devices 0,1] [--<config key> VALUE] [folders]

Searches, reproduces and evaluates every method of the suite, each with the same budget, folds and seeds, and
prints one table. What is done already is not done again: the same command continues, or prints the table.
`python run.py list suites` names the suites that come with powerbench.
"""

FLAGS: dict[str, FlagType] = {"merge_argparse_when_resuming": bool, **ROOT_FLAGS, **WORK_FLAGS}


def run(words: list[str]) -> int:
    """Run or continue the suite."""
    names, rest = positionals(words)
    if len(names) != 1:
        raise UserError("suite takes one suite: python run.py suite FILE|NAME")
    line = parse(rest, FLAGS)
    check_work_flags(line.flags)
    if line.config_names:
        raise UserError("a suite's file says which configs its methods use; change single keys with --<key> VALUE.")
    roots = find_roots(line.flags)
    from powerbench.driver.stores import existing_store, open_store
    from powerbench.driver.suites import load_suite

    merge = bool(line.flags.get("merge_argparse_when_resuming"))
    suite = load_suite(names[0], root=roots.config_folder, merge=merge, overrides=line.overrides)
    with existing_store(roots) as known:
        prepared = _prepare(suite, roots, known)
    with open_store(roots) as store:
        failures = _run_methods(suite, prepared, roots, store, line.flags)
        _print_table(suite, prepared, roots, store)
    if failures:
        raise PowerbenchError(f"{len(failures)} of {len(prepared)} methods failed: {', '.join(failures)}.")
    return 0


def _prepare(suite: Suite, roots: Roots, known: Store | None) -> dict[str, Prepared]:
    """Check every method before the first one trains, and that they are comparable."""
    from powerbench.driver.opening import prepare_request
    from powerbench.protocol import refuse_unfair

    prepared = {method: prepare_request(request, roots, known) for method, request in suite.requests.items()}
    refuse_unfair({method: item.protocol for method, item in prepared.items()})
    seeds = {item.config.seed for item in prepared.values()}
    if len(seeds) > 1:
        raise UserError(f"the methods of a suite share one seed, but {suite.name} has {sorted(seeds)}.")
    for note in sorted({note for item in prepared.values() for note in item.notes}):
        complain(f"note: {note}")
    return prepared


def _run_methods(suite: Suite, prepared: dict[str, Prepared], roots: Roots, store: Store, flags: Any) -> list[str]:
    from powerbench.driver.opening import is_finished, open_experiment
    from powerbench.driver.running import run_experiment

    unfinished = [m for m, item in prepared.items() if not is_finished(suite.requests[m].name, item, store)]
    failures: list[str] = []
    if not unfinished:
        return failures
    with work_of(flags) as work:
        for method in unfinished:
            with open_experiment(suite.requests[method].name, prepared[method], roots, store) as experiment:
                try:
                    run_experiment(experiment, work)
                except PowerbenchError as error:
                    if error.exit_status != PowerbenchError.exit_status:
                        raise
                    complain(f"{method}: {error}")
                    failures.append(method)
    return failures


def _print_table(suite: Suite, prepared: dict[str, Prepared], roots: Roots, store: Store) -> None:
    from meta_logs.suite import print_suite, write_suite

    names = {method: request.name for method, request in suite.requests.items()}
    folder = roots.experiments / "meta_logs" / suite.name
    write_suite(store, names, folder, title=suite.title or suite.name)
    print_suite(store, names, say, title=suite.title or suite.name)
    say(f"\nTables (csv, md, tex): {folder}")
