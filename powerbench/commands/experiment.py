"""One experiment: train, search, reproduce, evaluate. The command without a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbench.commands.flags import ROOT_FLAGS, WORK_FLAGS, check_work_flags, work_of
from powerbench.config.argv import parse
from powerbench.console import complain, say
from powerbench.driver.requests import Request
from powerbench.errors import UserError
from powerbench.legacy import PROGRAM
from powerbench.plan import Budget, reproduction_numbers
from powerbench.roots import Roots, find_roots

if TYPE_CHECKING:
    from powerbench.config.argv import CommandLine, FlagType
    from powerbench.driver.old_experiments import OldExperiment
    from powerbench.driver.preparing import Prepared
    from powerbench.driver.reproducing import Reproduction
    from powerbench.driver.work import Work
    from powerbench.store.store import Store

FLAGS: dict[str, FlagType] = {
    "experiment_name": str,
    "bayes_opt_iters": int,
    "reproductions": str,
    "reproduce_results": str,
    "same_seed": bool,
    "resume_training": ("latest", "best"),
    "evaluate": bool,
    "evaluate_ensemble": bool,
    "merge_argparse_when_resuming": bool,
    **ROOT_FLAGS,
    **WORK_FLAGS,
}


def run(words: list[str]) -> int:
    """Run or continue the experiment, reproduce another one as it, or evaluate it."""
    line = parse(words, FLAGS)
    flags = line.flags
    check_work_flags(flags)
    if not flags.get("experiment_name"):
        raise UserError("--experiment_name NAME is missing: it names the experiment and its folder.")
    check_modes(flags)
    roots = find_roots(flags)
    request = request_of(line)
    from powerbench.driver.evaluating import modes_of, refuse_joining_parts
    from powerbench.driver.importing import import_record, store_that_knows
    from powerbench.driver.old_experiments import find_old, prepare_old, refuse_training_in
    from powerbench.driver.opening import prepare_request, require_known
    from powerbench.driver.stores import open_store

    needs_experiment = [f"--{flag}" for flag in ("evaluate", "evaluate_ensemble", "resume_training") if flags.get(flag)]
    reproduction = old = None
    with store_that_knows(request.name, roots) as known:
        if (folder := find_old(request, roots, known)) is not None:
            if "resume_training" in flags or not needs_experiment:
                refuse_training_in(folder, request.name)
            old = prepare_old(folder, request, roots, known)
            modes = modes_of(bool(flags.get("evaluate")), bool(flags.get("evaluate_ensemble")))
            refuse_joining_parts(old.prepared.config.splits_to_eval, modes)
        elif needs_experiment:
            require_known(request.name, known, roots, " and ".join(needs_experiment))
        if "reproduce_results" in flags:
            reproduction = reproduction_of(line, roots, known)
        checked = old or reproduction
        prepared = checked.prepared if checked else prepare_request(request, roots, known)
    for note in [*prepared.notes, *_notes(flags)]:
        complain(f"note: {note}")
    with open_store(roots) as store, work_of(flags) as work:
        if record := import_record(request.name, roots, store):
            say(f"{request.name} was not in the results store {roots.store_url}: took it from {record}.")
        if reproduction:
            from powerbench.driver.reproducing import run_reproduction

            say(reproduction.description)
            run_reproduction(reproduction, roots, store, work)
        else:
            _work(request, prepared, roots, store, work, flags, old)
        _report(request.name, roots, store)
    return 0


def check_modes(flags: Mapping[str, Any]) -> None:
    """Raise a :class:`UserError` for flags that make no sense together."""
    if "reproduce_results" not in flags:
        if flags.get("same_seed"):
            raise UserError("--same_seed belongs to --reproduce_results FOLDER.")
        return
    for other in ("evaluate", "evaluate_ensemble", "resume_training"):
        if flags.get(other):
            raise UserError(
                f"--reproduce_results trains and evaluates by itself, and continues when the command is repeated: "
                f"leave out --{other}."
            )


def request_of(line: CommandLine) -> Request:
    """The request that a parsed command line makes."""
    flags = line.flags
    iterations = flags.get("bayes_opt_iters", 0)
    if iterations < 0:
        raise UserError(f"--bayes_opt_iters takes a number of trials, not {iterations}.")
    budget = Budget(iterations, reproduction_numbers(flags.get("reproductions", "0")))
    merge = bool(flags.get("merge_argparse_when_resuming"))
    return Request(flags["experiment_name"], budget, line.config_names, line.overrides, merge)


def reproduction_of(line: CommandLine, roots: Roots, store: Store | None, *, with_data: bool = True) -> Reproduction:
    """The checked reproduction that a parsed command line asks for."""
    from powerbench.driver.reproducing import prepare_reproduction

    return prepare_reproduction(
        Path(line.flags["reproduce_results"]),
        request_of(line),
        roots,
        store,
        as_many="reproductions" not in line.flags,
        same_seed=bool(line.flags.get("same_seed")),
        with_data=with_data,
    )


def _notes(flags: Mapping[str, Any]) -> list[str]:
    if flags.get("resume_training") != "best":
        return []
    return [
        "from its best epoch on, a fold run would repeat the same epochs with the same numbers, so best continues "
        "from the latest checkpoint, as latest does; what is evaluated and kept are the best weights either way."
    ]


def _work(
    request: Request,
    prepared: Prepared,
    roots: Roots,
    store: Store,
    work: Work,
    flags: Mapping[str, Any],
    old: OldExperiment | None,
) -> None:
    from powerbench.driver.evaluating import modes_of
    from powerbench.driver.old_experiments import take_over
    from powerbench.driver.opening import open_experiment
    from powerbench.driver.running import evaluate_experiment, run_experiment

    modes = modes_of(bool(flags.get("evaluate")), bool(flags.get("evaluate_ensemble")))
    with open_experiment(request.name, prepared, roots, store) as experiment:
        if old is not None:
            say(f"{old.folder} was trained by {PROGRAM}. It stays as it is; our files go to {experiment.folder.path}.")
            take_over(experiment, old)
        if not modes:
            run_experiment(experiment, work)
            return
        config = prepared.config
        again = not (config.skip_eval_if_already_done and config.skip_ensemble_eval_if_already_done)
        evaluate_experiment(experiment, work, config.splits_to_eval, modes, again=again)


def _report(name: str, roots: Roots, store: Store) -> None:
    from meta_logs.logged import report_logged
    from meta_logs.report import print_report
    from meta_logs.verdict import report_verdict
    from powerbench.driver.folder import ExperimentFolder

    folder = ExperimentFolder.of(name, roots.experiments).path
    print_report(store, name, say, roots.given)
    report_logged(store, name, folder, say)
    report_verdict(store, name, folder, say)
