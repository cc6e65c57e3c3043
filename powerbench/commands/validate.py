"""Print what an experiment or a suite would be, and what it would cost. Nothing is trained or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powerbench.commands import experiment as experiment_command
from powerbench.commands.flags import positionals
from powerbench.config.argv import parse
from powerbench.console import say
from powerbench.errors import UserError
from powerbench.roots import Roots, find_roots

if TYPE_CHECKING:
    from powerbench.driver.preparing import Prepared

HELP = """\
usage: python run.py validate [suite FILE|NAME] [--experiment_name NAME] [any flags of an experiment]

Prints the merged config, what is searched, the protocol, the plan and where each location was set. Needs no data
(without them the checksums in the protocol are unknown) and trains nothing.
"""


def run(words: list[str]) -> int:
    """Validate a command line or a suite."""
    names, rest = positionals(words)
    if names and (names[0] != "suite" or len(names) != 2):
        raise UserError("validate takes the flags of an experiment, or: validate suite FILE|NAME")
    line = parse(rest, experiment_command.FLAGS)
    roots = find_roots(line.flags)
    if names:
        _validate_suite(names[1], line.overrides, roots)
        return 0
    from powerbench.driver.opening import prepare_request
    from powerbench.driver.stores import existing_store

    line.flags.setdefault("experiment_name", "experiment")
    with existing_store(roots) as store:
        prepared = prepare_request(experiment_command.request_of(line), roots, store, with_data=False)
    _print_config(prepared)
    _print_plan(prepared)
    _print_roots(roots)
    return 0


def _validate_suite(text: str, overrides: dict[str, object], roots: Roots) -> None:
    from powerbench.driver.opening import prepare_request
    from powerbench.driver.suites import load_suite
    from powerbench.protocol import refuse_unfair

    suite = load_suite(text, root=roots.config_folder, merge=False, overrides=overrides)
    prepared = {
        method: prepare_request(request, roots, None, with_data=False) for method, request in suite.requests.items()
    }
    refuse_unfair({method: item.protocol for method, item in prepared.items()})
    say(f"suite {suite.name}: {len(prepared)} methods, one protocol")
    for method, item in prepared.items():
        searched = ", ".join(parameter.path for parameter in item.space.parameters) or "nothing"
        say(f"  {method}: {item.plan.fold_runs} fold runs; searches {searched}")
    total = sum(item.plan.fold_runs for item in prepared.values())
    say(f"in all {total} fold runs, at most {sum(item.plan.iterations for item in prepared.values()):,} iterations")
    _print_roots(roots)


def _print_config(prepared: Prepared) -> None:
    from powerbench.config.yaml_text import dump_yaml

    for category, content in prepared.merged.categories.items():
        say(f"# {category}")
        say(dump_yaml(content))
    say(f"# protocol {prepared.fingerprint} (data not opened: their checksums are unknown)")
    say(dump_yaml(prepared.protocol))
    for note in prepared.notes:
        say(f"note: {note}")


def _print_plan(prepared: Prepared) -> None:
    plan, budget = prepared.plan, prepared.budget
    parts = [f"{budget.trials} search trials"] if budget.trials else []
    parts += [f"{len(budget.reproductions)} reproductions"] if budget.reproductions else []
    say(f"plan: {' + '.join(parts) or '1 trial'}, each on {plan.folds} folds: {plan.fold_runs} fold runs of at most")
    say(f"      {plan.epochs} epochs x {plan.iterations_per_epoch} iterations: {plan.iterations:,} iterations at most")


def _print_roots(roots: Roots) -> None:
    say("locations:")
    for name, root in roots.by_name.items():
        say(f"  {name}: {root.value if root.value is not None else 'not set'} ({root.source})")
