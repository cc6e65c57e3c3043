"""One experiment: train, search, reproduce, evaluate. The command without a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from powerbench.commands.flags import ROOT_FLAGS, WORK_FLAGS, check_work_flags, work_of
from powerbench.config.argv import parse
from powerbench.console import complain, say
from powerbench.driver.requests import Request
from powerbench.errors import UserError
from powerbench.plan import Budget, reproduction_numbers
from powerbench.roots import find_roots

if TYPE_CHECKING:
    from powerbench.config.argv import CommandLine, FlagType

FLAGS: dict[str, FlagType] = {
    "experiment_name": str,
    "bayes_opt_iters": int,
    "reproductions": str,
    "evaluate": bool,
    "evaluate_ensemble": bool,
    "merge_argparse_when_resuming": bool,
    **ROOT_FLAGS,
    **WORK_FLAGS,
}


def run(words: list[str]) -> int:
    """Run or continue the experiment, or evaluate it."""
    line = parse(words, FLAGS)
    flags = line.flags
    check_work_flags(flags)
    if not flags.get("experiment_name"):
        raise UserError("--experiment_name NAME is missing: it names the experiment and its folder.")
    roots = find_roots(flags)
    request = request_of(line)
    from powerbench.driver.opening import prepare_request, require_known
    from powerbench.driver.stores import existing_store, open_store

    evaluating = bool(flags.get("evaluate") or flags.get("evaluate_ensemble"))
    with existing_store(roots) as known:
        if evaluating:
            require_known(request.name, known, roots)
        prepared = prepare_request(request, roots, known)
    for note in prepared.notes:
        complain(f"note: {note}")
    with open_store(roots) as store, work_of(flags) as work:
        _work(request, prepared, roots, store, work, flags if evaluating else None)
        from meta_logs.report import print_report

        print_report(store, request.name, say)
    return 0


def request_of(line: CommandLine) -> Request:
    """The request that a parsed command line makes."""
    flags = line.flags
    iterations = flags.get("bayes_opt_iters", 0)
    if iterations < 0:
        raise UserError(f"--bayes_opt_iters takes a number of trials, not {iterations}.")
    budget = Budget(iterations, reproduction_numbers(flags.get("reproductions", "0")))
    merge = bool(flags.get("merge_argparse_when_resuming"))
    return Request(flags["experiment_name"], budget, line.config_names, line.overrides, merge)


def _work(request: Request, prepared: Any, roots: Any, store: Any, work: Any, evaluation: Any) -> None:
    from powerbench.driver.evaluating import modes_of
    from powerbench.driver.opening import open_experiment
    from powerbench.driver.running import evaluate_experiment, run_experiment

    with open_experiment(request.name, prepared, roots, store) as experiment:
        if evaluation is None:
            run_experiment(experiment, work)
            return
        config = prepared.config
        modes = modes_of(bool(evaluation.get("evaluate")), bool(evaluation.get("evaluate_ensemble")))
        again = not (config.skip_eval_if_already_done and config.skip_ensemble_eval_if_already_done)
        evaluate_experiment(experiment, work, config.splits_to_eval, modes, again=again)
