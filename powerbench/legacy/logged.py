"""What powerful-benchmarker measured of an experiment, by its own tables, in today's names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from meta_logs.logged import Logged, LoggedValue
from powerbench.config.yaml_text import read_yaml
from powerbench.errors import UserError
from powerbench.evaluation.names import canonical_metric
from powerbench.jobs import CONCATENATED, SEPARATE, TRAINED, UNTRAINED_EPOCHS, UNTRAINED_TRUNK, WEIGHTS
from powerbench.legacy import PROGRAM
from powerbench.legacy.tables import ACCURACIES, Row, read_tables

_MODES = {
    "MeanAggregator": SEPARATE,
    "ConcatenateEmbeddings": CONCATENATED,
    "meta_SeparateEmbeddings": SEPARATE,
    "meta_ConcatenateEmbeddings": CONCATENATED,
    "meta": CONCATENATED,
}
"""What stands before ``accuracies`` in the name of a table, and the mode that its values are of."""

_TABLES = "saved_csvs"
_NO_EPOCH = 10**9
_REPRODUCTION = re.compile(r".+_reproduction(\d+)")


def read_logged(folder: Path) -> Logged:
    """The logged results of the experiment in ``folder``; of a search those of its reproductions."""
    notes: list[str] = []
    trainings = _trainings(folder)
    values = [value for place in trainings for value in _of_training(place, notes)]
    return Logged(PROGRAM, str(folder), tuple(values), tuple(notes))


def best_of_fold(fold_folder: Path, metric: str) -> tuple[int | None, float]:
    """The epoch that validation chose in one fold, and its value of ``metric``; (None, NaN) if it was not logged."""
    tables = read_tables(fold_folder / _TABLES, [])
    rows = [row for name, rows in tables.items() if _split_of(name) == "val" for row in rows]
    measured = {epoch: _metrics(row) for epoch, row in _by_epoch(rows).items() if epoch > 0}
    values = {epoch: metrics[metric] for epoch, metrics in measured.items() if metric in metrics}
    if not values:
        return None, math.nan
    best = max(values, key=lambda epoch: (values[epoch], -epoch))
    return best, values[best]


def _trainings(folder: Path) -> list[Path]:
    """The folder itself; or, of a search, its reproductions, or else its best trial."""
    if (folder / "meta_logs").is_dir() or not (folder / "best_parameters.yaml").is_file():
        return [folder]
    numbers = {path: _REPRODUCTION.fullmatch(path.name) for path in folder.iterdir() if path.is_dir()}
    found = {path: int(match[1]) for path, match in numbers.items() if match}
    best = str(read_yaml(folder / "best_parameters.yaml").get("best_sub_experiment_name"))
    return sorted(found, key=lambda path: found[path]) or [folder / Path(best).name]


def _of_training(folder: Path, notes: list[str]) -> Iterable[LoggedValue]:
    tables = read_tables(_means_of(folder), notes)
    found = [value for name, rows in tables.items() for value in _of_table(folder.name, name, rows)]
    return found or list(_mean_of_folds(folder, notes))


def _means_of(folder: Path) -> Path:
    return folder / "meta_logs" / _TABLES


def _of_table(training: str, table: str, rows: list[Row]) -> Iterable[LoggedValue]:
    """The newest row of each kind of weights counts."""
    match = ACCURACIES.fullmatch(table)
    mode = _MODES.get(match["kind"]) if match else None
    newest = {_weights_of(row): row for row in rows} if mode else {}
    for weights, row in newest.items():
        for metric, value in _metrics(row).items() if weights in WEIGHTS else ():
            yield LoggedValue(training, _split_of(table), str(mode), weights, metric, value)


def _mean_of_folds(folder: Path, notes: list[str]) -> Iterable[LoggedValue]:
    """An experiment of one fold has no tables of means."""
    by_key: dict[tuple[str, str, str], list[float]] = {}
    for place in sorted(set(folder.glob(f"*/{_TABLES}")) - {_means_of(folder)}):
        for table, rows in read_tables(place, notes).items():
            for weights, row in _of_epochs(rows).items():
                for metric, value in _metrics(row).items():
                    by_key.setdefault((_split_of(table), weights, metric), []).append(value)
    for (split, weights, metric), values in by_key.items():
        yield LoggedValue(folder.name, split, SEPARATE, weights, metric, sum(values) / len(values))


def _of_epochs(rows: list[Row]) -> Mapping[str, Row]:
    """The rows of the untrained weights by their epochs, and that of the best one."""
    by_epoch = _by_epoch(rows)
    found = {weights: by_epoch[epoch] for weights, epoch in UNTRAINED_EPOCHS.items() if epoch in by_epoch}
    trained = {epoch: row for epoch, row in by_epoch.items() if epoch > 0}
    if trained:
        best = _whole(rows[-1].get("best_epoch"))
        found[TRAINED] = trained[best if best in trained else max(trained)]
    return found


def _by_epoch(rows: list[Row]) -> dict[int, Row]:
    """The rows by their epochs; of an epoch that was measured again the newest."""
    return {epoch: row for row in rows if (epoch := _whole(row.get("epoch"))) is not None}


def _whole(value: float | str | None) -> int | None:
    """An epoch; none is as large as ``_NO_EPOCH``, which the store could not always hold."""
    return int(value) if isinstance(value, float) and abs(value) < _NO_EPOCH else None


def _weights_of(row: Row) -> str:
    """``trained_status``; before 0.9.27 there was ``is_trained``, and only the trunk was measured untrained."""
    if "is_trained" in row:
        return TRAINED if row["is_trained"] else UNTRAINED_TRUNK
    return str(row.get("trained_status"))


def _metrics(row: Row) -> dict[str, float]:
    """The row's metrics under today's names. Columns that are none (SEM_..., best_epoch, AVERAGE_...) are left out."""
    found = {}
    for column, value in row.items():
        if isinstance(value, float) and math.isfinite(value):
            try:
                found[canonical_metric(column)] = value
            except UserError:
                continue
    return found


def _split_of(table: str) -> str:
    return table.rpartition("_")[2].lower()
