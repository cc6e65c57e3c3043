"""Print an experiment's results; write its tables and figures again."""

from __future__ import annotations

from powerbench.commands.flags import ROOT_FLAGS, positionals
from powerbench.config.argv import parse
from powerbench.console import say
from powerbench.errors import UserError
from powerbench.roots import find_roots

HELP = """\
usage: python run.py report NAME [NAME ...] [--root_experiment_folder DIR] [--results_db URL]

Prints the results of experiments and writes their tables (csv, md, tex), figures and report.html into
<experiment>/meta_logs/. NAME may also be a folder that holds an experiment's record.json, here or under the root.
"""


def run(words: list[str]) -> int:
    """Report each named experiment."""
    places, rest = positionals(words)
    if not places:
        raise UserError("report needs the name of an experiment: python run.py report NAME")
    roots = find_roots(parse(rest, ROOT_FLAGS).flags)
    from meta_logs.logged import report_logged
    from meta_logs.report import print_report, write_report
    from meta_logs.verdict import report_verdict
    from powerbench.driver.stores import existing_store, store_of

    with existing_store(roots) as store:
        for place in places:
            with store_of(place, store, roots) as (own_store, name, folder):
                write_report(own_store, name, folder / "meta_logs")
                print_report(own_store, name, say, roots.given)
                report_logged(own_store, name, folder, say)
                report_verdict(own_store, name, folder, say)
    return 0
