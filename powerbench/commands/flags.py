"""Flags that several commands share, and what they build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from powerbench.errors import UserError

if TYPE_CHECKING:
    from powerbench.config.argv import FlagType
    from powerbench.driver.work import Work

ROOT_FLAGS: dict[str, FlagType] = {
    "root_experiment_folder": str,
    "dataset_root": str,
    "pytorch_home": str,
    "cache_dir": str,
    "results_db": str,
    "root_config_folder": str,
}
WORK_FLAGS: dict[str, FlagType] = {"workers": int, "devices": str, "stop_after": str}


def positionals(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a subcommand's words into those before the first flag, and the rest."""
    first = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
    return list(words[:first]), list(words[first:])


def check_work_flags(flags: Mapping[str, Any]) -> None:
    """Raise a :class:`UserError` for values of the work flags that make no sense."""
    if flags.get("workers", 1) < 1:
        raise UserError(f"--workers takes a number of processes from 1 up, not {flags['workers']}.")
    _stop_after(flags)


@contextmanager
def work_of(flags: Mapping[str, Any]) -> Iterator[Work]:
    """The executor that ``--workers`` and ``--devices`` ask for, stopped as ``--stop_after`` and signals say."""
    from powerbench.driver.work import open_work

    devices = [device.strip() for device in str(flags.get("devices", "")).split(",") if device.strip()]
    with open_work(flags.get("workers", max(1, len(devices))), devices, _stop_after(flags)) as work:
        yield work


def _stop_after(flags: Mapping[str, Any]) -> float | None:
    if "stop_after" not in flags:
        return None
    from powerbench.driver.stopping import parse_duration

    return parse_duration(flags["stop_after"])
