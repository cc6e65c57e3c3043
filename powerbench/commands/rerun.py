"""Train failed fold runs once more, then go on with the experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powerbench.commands import experiment
from powerbench.commands.flags import ROOT_FLAGS, WORK_FLAGS, check_work_flags, positionals
from powerbench.config.argv import parse
from powerbench.console import say
from powerbench.errors import UserError
from powerbench.roots import find_roots

if TYPE_CHECKING:
    from powerbench.config.argv import FlagType

HELP = """\
usage: python run.py rerun NAME [--trial search:3 [--fold 1]] [--workers W] [--devices 0,1] [folders]

Forgets the failed fold runs of an experiment (all of them, those of one trial, or one) with what they left on disk,
and continues the experiment, which trains them again with their seeds and then does whatever else is left. `status`
names what failed.

A search does not take back what it proposed after the failure: later trials stay as they are, and only proposals
still to come know the new result. If the trial turns out best, the reproductions are trained anew with its setting.
"""

FLAGS: dict[str, FlagType] = {"trial": str, "fold": int, **ROOT_FLAGS, **WORK_FLAGS}


def run(words: list[str]) -> int:
    """Reopen the failed fold runs and run the experiment."""
    names, rest = positionals(words)
    flags = parse(rest, FLAGS).flags
    check_work_flags(flags)
    if len(names) != 1:
        raise UserError("rerun takes one experiment: python run.py rerun NAME")
    name, roots = names[0], find_roots(flags)
    from powerbench.driver.folder import ExperimentFolder, check_name
    from powerbench.driver.reopening import find_failed, reopen
    from powerbench.driver.stores import existing_store

    folder = ExperimentFolder.of(check_name(name), roots.experiments)
    with existing_store(roots) as store:
        if store is None:
            raise UserError(f"there is no experiment {name}: there is no results store {roots.store_url}.")
        found = find_failed(store, name, flags.get("trial"), flags.get("fold"))
        reopen(store, folder, found)
    for trial, failed in found.runs:
        say(f"{name}: {trial.label} fold {failed.fold} ({failed.error_kind}) is trained again")
    passed_on = [(flag, value) for flag, value in flags.items() if flag not in ("trial", "fold")]
    return experiment.run(["--experiment_name", name, *(word for f, v in passed_on for word in (f"--{f}", str(v)))])
