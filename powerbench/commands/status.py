"""What runs, how far it is, what is left and about how long that takes, and what failed."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from powerbench.commands.flags import ROOT_FLAGS, positionals
from powerbench.config.argv import parse
from powerbench.console import duration, say
from powerbench.errors import UserError, nearest
from powerbench.roots import Roots, find_roots

if TYPE_CHECKING:
    from powerbench.driver.statuses import Counts, Driver, Estimate, Status

HELP = """\
usage: python run.py status [NAME ...] [--json] [--root_experiment_folder DIR] [--results_db URL]

Shows experiments (all of them without a NAME): whether a driver works on it, since when and where; search trials,
reproductions, fold runs and evaluations done of those planned; the fold runs at work with their last report; what
is left, and what failed.

The time left is estimated as: fold runs without a result x mean seconds of the fold runs done / the number of fold
runs seen at work at the same time. Evaluations are not counted.

A driver that died without giving its lease back is named stale: nothing is lost, the same command continues.

--json prints {"experiments": [...]}, each with the keys
  name, state               state: running, stale (its driver died), stopped (work is left), finished
  driver                    null, or host, pid, since, heartbeat (ISO 8601, UTC), alive (null: the clocks disagree)
  search, reproductions, single, fold_runs, evaluations    each with done, failed, planned
  at_work                   list of trial ("search:3"), fold (null: an evaluation), report, reported
  failed                    list of trial, fold, kind (nan, diverged, out_of_memory, error), message
  estimate                  null, or seconds_left, fold_runs_left, seconds_per_fold_run, measured_fold_runs, workers
"""


def run(words: list[str]) -> int:
    """Print the status of the named experiments, or of all."""
    names, rest = positionals(words)
    flags = parse(rest, {"json": bool, **ROOT_FLAGS}).flags
    roots = find_roots(flags)
    statuses = _statuses(names, roots)
    if flags.get("json"):
        say(json.dumps({"experiments": [dataclasses.asdict(status) for status in statuses]}, indent=2))
        return 0
    for status in statuses:
        say("\n".join(_lines(status)))
    if not statuses:
        say(f"no experiments in {roots.store_url}")
    return 0


def _statuses(names: list[str], roots: Roots) -> list[Status]:
    from powerbench.driver.folder import ExperimentFolder
    from powerbench.driver.log import read_tail
    from powerbench.driver.statuses import status_of
    from powerbench.driver.stores import existing_store

    with existing_store(roots) as store:
        rows = {row.name: row for row in store.experiments()} if store else {}
        for name in names:
            if name not in rows:
                raise UserError(f"there is no experiment {name} in {roots.store_url}.", near=nearest(name, rows))
        if store is None:
            return []
        folders = {name: ExperimentFolder.of(name, roots.experiments) for name in names or rows}
        return [status_of(store, rows[name], read_tail(folder.log)) for name, folder in folders.items()]


def _lines(status: Status) -> list[str]:
    if status.state == "finished" and not status.failed:
        done = [
            f"{counts.done} {what}"
            for what, counts in (
                ("search trials", status.search),
                ("reproductions", status.reproductions),
                ("single trial", status.single),
                ("evaluations", status.evaluations),
            )
            if counts.planned
        ]
        return [f"{status.name}: finished ({', '.join(done)})"]
    lines = [f"{status.name}: {_headline(status.state, status.driver)}"]
    for what in ("search", "reproductions", "single", "fold_runs", "evaluations"):
        counts: Counts = getattr(status, what)
        if counts.planned:
            failed = f", {counts.failed} failed" if counts.failed else ""
            lines.append(_line(what.replace("_", " "), f"{counts.done} of {counts.planned} done{failed}"))
    for job in status.at_work:
        fold = "evaluation" if job.fold is None else f"fold {job.fold}"
        lines.append(_line("at work", f"{job.trial} {fold}: {job.report} ({_ago(job.reported)})"))
    if status.state != "finished":
        lines.append(_line("left", _left(status.fold_runs, status.evaluations, status.estimate)))
    for run in status.failed:
        lines.append(_line("failed", f"{run.trial} fold {run.fold}: {run.kind}: {' '.join(run.message.split())}"))
    if status.failed:
        lines.append(_line("", f"train failed fold runs again: python run.py rerun {status.name}"))
    return lines


def _headline(state: str, driver: Driver | None) -> str:
    if driver is None or state == "finished":
        return "finished" if state == "finished" else "stopped: nobody works on it; the same command continues"
    who = f"process {driver.pid} on {driver.host}, since {_local(driver.since)}"
    if state == "stale":
        return f"stale: its driver ({who}) is gone; nothing is lost, the same command continues"
    doubt = "" if driver.alive else "; its clock disagrees with this machine's, so it may be gone"
    return f"running ({who}{doubt})"


def _left(fold_runs: Counts, evaluations: Counts, estimate: Estimate | None) -> str:
    what = f"{fold_runs.left} fold runs, {evaluations.left} evaluations"
    if estimate is None:
        return f"{what}; no fold run has ended yet, so there is no estimate"
    how = (
        f"{estimate.fold_runs_left} fold runs x {estimate.seconds_per_fold_run:.3g} s (mean of "
        f"{estimate.measured_fold_runs} done) / {estimate.workers} at a time"
    )
    return f"{what}; about {duration(estimate.seconds_left)} of training = {how}"


def _line(name: str, text: str) -> str:
    return f"  {name:<14}{text}"


def _ago(time: str) -> str:
    return f"{duration(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()))} ago"


def _local(time: str) -> str:
    return datetime.fromisoformat(time).astimezone().isoformat(" ", timespec="seconds")
