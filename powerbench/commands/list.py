"""List experiments, or the names that a config may use."""

from __future__ import annotations

from powerbench.commands.flags import ROOT_FLAGS, positionals
from powerbench.config.argv import parse
from powerbench.console import say
from powerbench.errors import UserError, nearest
from powerbench.roots import Roots, find_roots

HELP = """\
usage: python run.py list [experiments | configs | suites | losses | miners | samplers | datasets | split_managers |
                           methods | metrics | transforms | trunks]

Without a word: the experiments of the results store. `list configs` shows the YAML names of every category,
`list datasets` what lies below --dataset_root.
"""

KINDS = {
    "losses": "loss",
    "miners": "miner",
    "samplers": "sampler",
    "datasets": "dataset",
    "split_managers": "split_manager",
    "methods": "method",
    "transforms": "transform",
    "trunks": "trunk",
}
WHAT = ("experiments", "configs", "suites", "metrics", *KINDS)


def run(words: list[str]) -> int:
    """Print one list."""
    names, rest = positionals(words)
    what = names[0] if names else "experiments"
    flags = parse(rest, ROOT_FLAGS).flags
    if len(names) > 1 or what not in WHAT:
        raise UserError(f"list takes one of {', '.join(WHAT)}.", near=nearest(what, WHAT))
    roots = find_roots(flags)
    for text in _lines(what, roots):
        say(text)
    return 0


def _lines(what: str, roots: Roots) -> list[str]:
    if what == "experiments":
        return _experiments(roots)
    if what == "configs":
        from powerbench.config.sources import config_names

        return [f"{category}: {', '.join(found)}" for category, found in config_names(roots.config_folder).items()]
    if what == "suites":
        from powerbench.config.sources import suite_names

        return suite_names(roots.config_folder)
    if what == "metrics":
        from powerbench.evaluation.names import metric_names

        return list(metric_names())
    if what == "datasets":
        from powerbench.datasets.finding import found_datasets

        found = found_datasets(roots.places.dataset_root)
        width = max(len(name) for name, _ in found)
        return [f"{name:<{width}}  {text}" for name, text in found]
    from powerbench.classes import class_names

    return list(class_names(KINDS[what]))


def _experiments(roots: Roots) -> list[str]:
    from powerbench.driver.stores import existing_store

    with existing_store(roots) as store:
        rows = store.experiments() if store else []
        if store is None or not rows:
            return [f"no experiments in {roots.store_url}"]
        width = max(len(row.name) for row in rows)
        lines = []
        for row in rows:
            trials = store.trials(row.id)
            counts = ", ".join(
                f"{sum(t.state == 'done' for t in trials if t.kind == kind)} {kind}"
                for kind in ("search", "reproduction", "single")
                if any(t.kind == kind for t in trials)
            )
            lines.append(f"{row.name:<{width}}  protocol {row.protocol_fingerprint}  {counts or 'nothing trained'}")
        return lines
