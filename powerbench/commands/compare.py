"""Which of several experiments is better: every pair, or nothing if their protocols differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from powerbench.commands.flags import ROOT_FLAGS, positionals
from powerbench.config.argv import parse
from powerbench.console import say
from powerbench.errors import UserError
from powerbench.jobs import MODES, SEPARATE
from powerbench.roots import Roots, find_roots

if TYPE_CHECKING:
    from meta_logs.results import ExperimentResults
    from powerbench.config.argv import FlagType

HELP = """\
usage: python run.py compare A B [C ...] [--metric map_at_r] [--mode separate|concatenated] [--output FOLDER]
                             [--root_experiment_folder DIR] [--results_db URL]

Compares experiments on the test split. A, B, ... are names, or folders that hold an experiment's record.json (here or
under the root). If
their protocol fingerprints differ it refuses and names the keys; otherwise it prints
  the methods, best first: mean, interval and n over reproductions, and the groups that cannot be told apart;
  every pair: the difference with its interval, the p-value of a paired t-test over reproductions of equal index,
  corrected for all pairs (Holm), Wilcoxon's from six reproductions on, and whether the difference holds.

--metric takes one metric or a list: map_at_r (default), precision_at_1, r_precision, recall_at_<k>, and the names
that other systems give them. --output writes the tables as csv, md and tex.
"""

FLAGS: dict[str, FlagType] = {"metric": list, "mode": MODES, "output": Path, **ROOT_FLAGS}


def run(words: list[str]) -> int:
    """Compare the named experiments."""
    names, rest = positionals(words)
    flags = parse(rest, FLAGS).flags
    if len(names) < 2:
        raise UserError("compare needs two experiments or more: python run.py compare A B")
    from powerbench.evaluation.names import canonical_metric

    metrics = [canonical_metric(metric) for metric in flags.get("metric", ("map_at_r",))]
    output = flags.get("output")
    if output is not None and output.exists() and not output.is_dir():
        raise UserError("is a file; the tables need a folder.", where=f"--output {output}")
    results = _results(names, find_roots(flags))
    from meta_logs.comparison import tables_of

    mode = flags.get("mode", SEPARATE)
    compared = {metric: tables_of(results, mode=mode, metric=metric) for metric in metrics}
    for metric, tables in compared.items():
        for stem, table in tables.items():
            say(table.text)
            if output is not None:
                table.write(output, f"{stem}_{metric}_{mode}")
    if output is not None:
        say(f"Tables (csv, md, tex): {output}")
    return 0


def _results(places: list[str], roots: Roots) -> dict[str, ExperimentResults]:
    """The results of each place, by the experiment's name; by the place where names occur twice."""
    from meta_logs.results import results_of
    from powerbench.driver.stores import existing_store, store_of

    found: dict[str, ExperimentResults] = {}
    with existing_store(roots) as store:
        for place in places:
            if place in found:
                raise UserError(f"{place} is named twice.")
            with store_of(place, store, roots) as (own_store, name, _):
                found[place] = results_of(own_store, name)
    names = [item.experiment.name for item in found.values()]
    return {
        (item.experiment.name if names.count(item.experiment.name) == 1 else place): item
        for place, item in found.items()
    }
