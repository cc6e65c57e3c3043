"""Which folders powerful-benchmarker 0.9.x wrote, and what lies where in them."""

from __future__ import annotations

import re
from pathlib import Path

_OURS = ("record.json", "log.jsonl", "configs/user_code", "configs/best_parameters.yaml")
_OUR_KEY = re.compile(r"^(seed|threads_per_run|ties|clustering|evaluation_metrics):", re.MULTILINE)
_OUR_KEYS_IN = ("config_general.yaml", "config_eval.yaml")
_TRACES = ("*/saved_models", "*/saved_csvs", "bayes_opt_ax_logs", "bayes_opt_record_keeper_logs")


def has_old_configs(folder: Path) -> bool:
    """Whether the folder's ``configs`` are not powerbench's own: nothing in it is what only powerbench writes."""
    return not any((folder / name).exists() for name in _OURS) and not any(
        _OUR_KEY.search((folder / "configs" / name).read_text("utf-8", errors="replace"))
        for name in _OUR_KEYS_IN
        if (folder / "configs" / name).is_file()
    )


def holds_old_experiment(folder: Path) -> bool:
    """Whether powerful-benchmarker trained here: its checkpoints or its tables lie in the folder."""
    return (
        (folder / "configs").is_dir()
        and any(True for trace in _TRACES for _ in folder.glob(trace))
        and has_old_configs(folder)
    )
