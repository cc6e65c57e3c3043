"""The log of an experiment: ``log.jsonl`` in its folder, one JSON object a line, written by the driver alone.

Every line has ``time`` (ISO 8601, UTC), ``level`` (info, warning, error) and ``event``; ``trial`` is written
``search:3``. Events: ``start`` and ``resume`` (command, process, workers, hashes, environment), ``environment`` (what
changed since earlier runs), ``proposal``, ``report`` (a line of progress from a running job), ``fold_run``, ``trial``
and ``evaluation`` (each with its state), ``overtaken``, ``warning``, and ``end`` (finished, stopped or failed, and
why). It tells the story; the truth is in the results store, so that a torn or missing line does no harm.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

from powerbench.console import complain

TAIL_BYTES = 2**18


class ExperimentLog:
    """Appends lines to a log file. A disk that refuses them is complained of once and stops nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._refused = False

    def write(self, event: str, *, level: str = "info", **fields: Any) -> None:
        """Append one line; values that JSON does not know are written as text, NaN as null."""
        if self._refused:
            return
        line = {"time": _now(), "level": level, "event": event, **fields}
        text = json.dumps(_plain(line), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            if self._file is None:
                self._file = _open_after_whole_line(self._path)
            self._file.write(text.encode())
        except OSError as error:
            self._refused = True
            complain(f"{self._path} cannot be written ({error.strerror}); the work goes on without its log.")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@contextmanager
def open_log(path: Path) -> Iterator[ExperimentLog]:
    """A log that receives the warnings of powerbench's loggers too, for as long as the block lasts."""
    log = ExperimentLog(path)
    handler = _Handler(log)
    logger = logging.getLogger("powerbench")
    logger.addHandler(handler)
    try:
        yield log
    finally:
        logger.removeHandler(handler)
        log.close()


def read_tail(path: Path, size: int = TAIL_BYTES) -> list[dict[str, Any]]:
    """The last lines of a log, oldest first; torn ones are left out, as is everything if there is no log."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            lines = file.read().splitlines()
    except OSError:
        return []
    return [content for line in lines if (content := _parsed(line)) is not None]


class _Handler(logging.Handler):
    """Passes warnings to the log, and to the terminal, where they would have gone without it."""

    def __init__(self, log: ExperimentLog) -> None:
        super().__init__(logging.WARNING)
        self._log, self._process = log, os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record; a forked process only shows it."""
        message = record.getMessage()
        complain(message)
        if os.getpid() == self._process:
            self._log.write("warning", level=record.levelname.lower(), logger=record.name, message=message)


def _open_after_whole_line(path: Path) -> FileIO:
    """The file opened to be appended to; a line that a crash has torn is ended first."""
    file = FileIO(path, "a+")
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "event" in content else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
