"""Delete an experiment: its rows in the results store and its folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from powerbench.commands.flags import ROOT_FLAGS, positionals
from powerbench.config.argv import parse
from powerbench.console import say
from powerbench.errors import UserError
from powerbench.roots import find_roots

if TYPE_CHECKING:
    from powerbench.driver.deleting import Deletion

HELP = """\
usage: python run.py delete NAME [--yes] [--root_experiment_folder DIR] [--results_db URL]

Deletes an experiment for good: all its rows in the results store and its folder. Asks first: on a terminal its name
must be typed; elsewhere --yes is needed. Refuses while a driver works on the experiment. An interrupted deletion is
finished by the same command. Tables of suites that showed the experiment stay as they are.
"""


def run(words: list[str]) -> int:
    """Delete the named experiment."""
    names, rest = positionals(words)
    flags = parse(rest, {"yes": bool, **ROOT_FLAGS}).flags
    if len(names) != 1:
        raise UserError("delete takes one experiment: python run.py delete NAME")
    roots = find_roots(flags)
    from powerbench.driver.deleting import delete, plan_deletion
    from powerbench.driver.folder import check_name
    from powerbench.driver.stores import existing_store

    with existing_store(roots) as store:
        deletion = plan_deletion(check_name(names[0]), store, roots)
        if not flags.get("yes"):
            _ask(deletion)
        deleted = delete(deletion, store)
    rows = ", ".join(f"{count} {table}" for table, count in deleted.rows.items()) or "none left"
    say(f"deleted {deletion.name}: rows: {rows}; files: {deleted.files} ({deleted.size / 2**20:.1f} MiB)")
    return 0


def _ask(deletion: Deletion) -> None:
    """Raise :class:`UserError` unless a person types the experiment's name."""
    if not sys.stdin.isatty():
        raise UserError(f"deleting cannot be undone: add --yes to delete {deletion.name}. Nothing was deleted.")
    what = f"the rows and the folder {deletion.folder or deletion.trash}" if deletion.row else str(deletion.trash)
    say(f"This deletes {what} for good.")
    sys.stdout.write(f"Type {deletion.name} to delete it: ")
    sys.stdout.flush()
    if sys.stdin.readline().strip() != deletion.name:
        raise UserError(f"{deletion.name} was not typed. Nothing was deleted.")
