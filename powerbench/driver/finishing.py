"""What an experiment leaves behind: its best setting as a config, its record, its tables and figures."""

from __future__ import annotations

from typing import Any

from powerbench.config.search_keys import fill
from powerbench.config.yaml_text import dump_yaml
from powerbench.driver.experiment import Experiment
from powerbench.driver.user_code import located
from powerbench.files import write_atomic
from powerbench.store.rows import best_trial


def write_best_parameters(experiment: Experiment) -> None:
    """``best_parameters.yaml``: the top-level keys that were searched, whole, with the best trial's values.

    A copy lies in ``configs``, which is then all that a reproduction needs; only the copy names the user's own
    files by hash.
    """
    trial = best_trial(experiment.trials("search"))
    if trial is None or not trial.parameters:
        return
    prepared = experiment.prepared
    plain = fill(prepared.merged, trial.parameters)
    keys = sorted({path.split("/")[0] for path in trial.parameters})
    content: dict[str, Any] = {f"{key}~OVERRIDE~": plain[key] for key in keys}
    metric = prepared.config.hook_container.primary_metric
    head = (
        f"# {experiment.name}, search trial {trial.number}: mean validation {metric} {trial.mean!r}, "
        f"standard error over folds {trial.sem!r}.\n"
        "# Use it as a config: --config_loss_and_miners [default, THIS_FILE].\n"
    )
    write_atomic(experiment.folder.chosen_setting, head + dump_yaml(content))
    write_atomic(experiment.folder.best_parameters, head + dump_yaml(located(content, experiment.folder.user_code)))


def write_results(experiment: Experiment) -> None:
    """Summaries in the store, then ``best_parameters.yaml``, ``meta_logs/`` and, last, ``record.json``.

    So a record that equals the store's rows says that all of this is up to date.
    """
    from meta_logs.report import write_report

    config = experiment.prepared.config
    experiment.store.refresh_summaries(experiment.id, config.confidence, config.include_best)
    write_best_parameters(experiment)
    write_report(experiment.store, experiment.name, experiment.folder.path / "meta_logs")
    experiment.store.write_record(experiment.name, experiment.folder.path)
