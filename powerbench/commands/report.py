"""Print an experiment's results; write its tables and figures again."""

from __future__ import annotations

from pathlib import Path

from powerbench.commands.flags import ROOT_FLAGS, positionals
from powerbench.config.argv import parse
from powerbench.console import say
from powerbench.errors import UserError, nearest
from powerbench.roots import find_roots

HELP = """\
usage: python run.py report NAME [NAME ...] [--root_experiment_folder DIR] [--results_db URL]

Prints the results of experiments and writes their tables (csv, md, tex), figures and report.html into
<experiment>/meta_logs/. NAME may also be a folder that holds an experiment's record.json.
"""


def run(words: list[str]) -> int:
    """Report each named experiment."""
    names, rest = positionals(words)
    if not names:
        raise UserError("report needs the name of an experiment: python run.py report NAME")
    roots = find_roots(parse(rest, ROOT_FLAGS).flags)
    from meta_logs.logged import report_logged
    from meta_logs.report import print_report, write_report
    from meta_logs.verdict import report_verdict
    from powerbench.driver.folder import ExperimentFolder
    from powerbench.driver.stores import existing_store
    from powerbench.store.record import store_of_record

    with existing_store(roots) as store:
        known = [row.name for row in store.experiments()] if store else []
        for name in names:
            if store is not None and name in known:
                folder = ExperimentFolder.of(name, roots.experiments).path
                write_report(store, name, folder / "meta_logs")
                print_report(store, name, say)
                report_logged(store, name, folder, say)
                report_verdict(store, name, folder, say)
            elif (Path(name) / "record.json").is_file():
                with store_of_record(Path(name) / "record.json") as (record_store, recorded_name):
                    write_report(record_store, recorded_name, Path(name) / "meta_logs")
                    print_report(record_store, recorded_name, say)
                    report_logged(record_store, recorded_name, Path(name), say)
                    report_verdict(record_store, recorded_name, Path(name), say)
            else:
                raise UserError(f"there is no experiment {name} in {roots.store_url}.", near=nearest(name, known))
    return 0
