"""Print what an experiment or a suite would be, and what it would cost. Nothing is trained or written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from powerbench.commands import experiment as experiment_command
from powerbench.commands.flags import positionals
from powerbench.config.argv import parse
from powerbench.console import say
from powerbench.errors import UserError
from powerbench.roots import Roots, find_roots

if TYPE_CHECKING:
    from powerbench.driver.costs import Cost
    from powerbench.driver.preparing import Prepared
    from powerbench.driver.suites import Part
    from powerbench.store.store import Store

HELP = """\
usage: python run.py validate [suite FILE|NAME] [--experiment_name NAME] [--with_data] [any flags of an experiment]

Prints the merged config, what is searched, the protocol, where each location was set, and the plan with its cost:
fold runs, iterations, the disk that the kept weights take, and the time: from the fold runs of this protocol in the
results store, or else its bounds, from a step of the trunk that is timed now. Of a search that has begun, what one more
trial is expected to bring. Needs no data (without them the checksums
in the protocol are unknown) and trains nothing. Of a suite, --methods [a, b] takes these alone.
--with_data: opens the dataset, too, looks at every image once (its header and its end), and lists what is wrong, what
is there twice, and the sizes of all parts of all folds.
"""


def run(words: list[str]) -> int:
    """Validate a command line or a suite."""
    names, rest = positionals(words)
    if names and (names[0] != "suite" or len(names) != 2):
        raise UserError("validate takes the flags of an experiment, or: validate suite FILE|NAME")
    line = parse(rest, {**experiment_command.FLAGS, "with_data": bool, **({"methods": list} if names else {})})
    with_data = bool(line.flags.pop("with_data", False))
    roots = find_roots(line.flags)
    if names:
        _validate_suite(names[1], line.overrides, roots, with_data=with_data, methods=line.flags.get("methods"))
        return 0
    from powerbench.driver.costs import cost_of
    from powerbench.driver.opening import prepare_request
    from powerbench.driver.stores import existing_store

    line.flags.setdefault("experiment_name", "experiment")
    experiment_command.check_modes(line.flags)
    with existing_store(roots) as store:
        if "reproduce_results" in line.flags:
            reproduction = experiment_command.reproduction_of(line, roots, store, with_data=False)
            prepared = reproduction.prepared
            say(reproduction.description)
        else:
            prepared = prepare_request(experiment_command.request_of(line), roots, store, with_data=False)
        cost = cost_of(line.flags["experiment_name"], prepared, roots, store)
        outlook = _outlook(line.flags["experiment_name"], store)
    _print_config(prepared)
    _print_plan(line.flags["experiment_name"], prepared, cost, roots)
    if outlook is not None:
        say(f"      so far: {outlook}")
    _print_roots(roots)
    if with_data:
        _print_data(prepared, roots)
    return 0


def _print_data(prepared: Prepared, roots: Roots) -> None:
    from powerbench.driver.data_report import data_report
    from powerbench.driver.preparing import at_present_places

    for text in data_report(at_present_places(prepared.config, None, prepared.user_files), roots.places):
        say(text)


def _validate_suite(
    text: str, overrides: dict[str, object], roots: Roots, *, with_data: bool, methods: Sequence[str] | None
) -> None:
    from powerbench.driver.costs import total
    from powerbench.driver.stores import existing_store
    from powerbench.driver.suite_running import plan_part
    from powerbench.driver.suites import load_suite, only

    suite = load_suite(text, root=roots.config_folder, overrides=overrides)
    if methods is not None:
        suite = only(suite, methods)
    with existing_store(roots) as store:
        costs = [cost for part in suite.parts for cost in _print_part(part, roots, store)]
    if len(suite.parts) > 1:
        say(f"all protocols: {total(costs).text}")
    _print_roots(roots)
    if with_data:
        for part in suite.parts:
            _print_data(next(iter(plan_part(part, roots).values())), roots)


def _print_part(part: Part, roots: Roots, store: Store | None) -> list[Cost]:
    from meta_logs.formatting import short_names
    from powerbench.driver.costs import cost_of, total
    from powerbench.driver.suite_running import plan_part

    prepared = plan_part(part, roots)
    costs = []
    say(f"{part.name}: {len(prepared)} methods, one protocol; for each {_amount(next(iter(prepared.values())))}")
    for method, item in prepared.items():
        costs.append(cost_of(part.experiments[method], item, roots, store))
        searched = ", ".join(short_names(parameter.path for parameter in item.space.parameters).values())
        say(f"  {method}: {costs[-1].text}; searches {searched or 'nothing'}")
    say(f"in all: {total(costs).text}")
    method, item = next(iter(prepared.items()))
    _print_source(part.experiments[method], item, total(costs), roots)
    return costs


def _print_source(name: str, prepared: Prepared, cost: Cost, roots: Roots) -> None:
    if cost.seconds is not None:
        say("      (training one fold run at a time, by the mean of those of this protocol in the results store)")
        return
    from powerbench.driver.step_timing import estimate

    say("      (the results store has no fold run of this protocol to tell the time from)")
    bounds = estimate(name, prepared, cost.fold_runs, roots)
    if bounds is not None:
        say(f"      {bounds.text}")


def _print_config(prepared: Prepared) -> None:
    from powerbench.config.yaml_text import dump_yaml

    for category, content in prepared.merged.categories.items():
        say(f"# {category}")
        say(dump_yaml(content))
    say(f"# protocol {prepared.fingerprint} (data not opened: their checksums are unknown)")
    say(dump_yaml(prepared.protocol))
    for note in prepared.notes:
        say(f"note: {note}")


def _print_plan(name: str, prepared: Prepared, cost: Cost, roots: Roots) -> None:
    say(f"plan: {_amount(prepared)}:")
    say(f"      {cost.text}")
    _print_source(name, prepared, cost, roots)


def _outlook(name: str, store: Store | None) -> str | None:
    """What further trials of a search that has begun may bring."""
    if store is None or store.experiment(name) is None:
        return None
    from meta_logs.optimization.outlook import outlook_text
    from meta_logs.optimization.search import search_of
    from meta_logs.results import results_of

    return outlook_text(search_of(results_of(store, name)))


def _amount(prepared: Prepared) -> str:
    """``8 search trials (the first 2 given) + 5 reproductions on 4 folds of at most 20 epochs x 30 iterations``."""
    plan, budget = prepared.plan, prepared.budget
    given = f" (the first {len(prepared.first_trials)} given)" if prepared.first_trials else ""
    parts = [f"{prepared.planned_search_trials} search trials{given}"] if budget.trials else []
    parts += [f"{len(budget.reproductions)} reproductions"] if budget.reproductions else []
    limits = f"at most {plan.epochs} epochs x {plan.iterations_per_epoch} iterations"
    return f"{' + '.join(parts) or '1 trial'} on {plan.folds} folds of {limits}"


def _print_roots(roots: Roots) -> None:
    say("locations:")
    for name, root in roots.by_name.items():
        say(f"  {name}: {root.value if root.value is not None else 'not set'} ({root.source})")
