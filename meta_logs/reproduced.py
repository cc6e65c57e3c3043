"""What an experiment reproduces, remembered in its folder: ``reproduces.json`` and a copy of the earlier record."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from meta_logs.results import ExperimentResults, results_of
from powerbench.errors import UserError
from powerbench.files import write_atomic
from powerbench.store.record import store_of_record

FILE_NAME = "reproduces.json"
RECORD_NAME = "record_reproduced.json"


@dataclass(frozen=True)
class Reproduced:
    """The folder that is reproduced, and the settings of its method (slash paths) that were changed on request."""

    folder: str
    changed: tuple[str, ...] = ()


def remember(folder: Path, reproduced: Reproduced, record: Path | None) -> None:
    """Write into ``folder`` what it reproduces; ``record`` is that of the earlier experiment, if it has one."""
    if record is None:
        (folder / RECORD_NAME).unlink(missing_ok=True)
    else:
        write_atomic(folder / RECORD_NAME, record.read_bytes())
    write_atomic(folder / FILE_NAME, json.dumps(asdict(reproduced), indent=2) + "\n")


def reproduced_by(folder: Path) -> Reproduced | None:
    """What the experiment in ``folder`` reproduces; ``None`` for any other experiment.

    Raises :class:`UserError` for a file that :func:`remember` did not write.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        reproduced = Reproduced(content["folder"], tuple(content["changed"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"this is not what powerbench wrote ({error}).", where=str(path)) from error
    if not all(isinstance(text, str) for text in (reproduced.folder, *reproduced.changed)):
        raise UserError("folder and changed are texts.", where=str(path))
    return reproduced


def earlier_results(record: Path) -> ExperimentResults | None:
    """The results in a record, which may come from anyone; ``None`` if there is none."""
    if not record.is_file():
        return None
    with store_of_record(record) as (store, name):
        return results_of(store, name)
