"""One command of powerbench in this process, with its time divided among what it was spent on.

``python -m benchmarks._ledger REPORT.json STARTED WORDS...``: ``STARTED`` is what ``time.monotonic()`` gave before this
process was started. A part's time does not hold that of the parts inside it.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from powerbench.ending import end_process
from powerbench.starting import start_lightly

OTHER, IMPORTS, MODEL = "other", "imports", "model"

PLACES = {
    "config, checks, rehearsal": ["driver.opening:prepare_request"],
    "opening of fold runs": ["evaluation.opening:open_data", "evaluation.opening:open_fold_run"],
    "data": ["data.images:ImageInputs.batches", "data.images:ImageInputs.close"],
    "transfer, normalisation": ["data.finishing:finish", "evaluation.model:Model.place"],
    "evaluation": [
        "training.validation:validate",
        "training.validation:measure_untrained",
        "evaluation.ensembles:evaluate_models",
    ],
    "checkpoints, weights": [
        "training.resuming:save",
        "training.checkpoints:finish",
        "training.validation:best_weights",
        "evaluation.weights:load_best",
    ],
    "search": ["search.proposing:propose"],
    "store, log": ["store.database:Database.__init__", "store.store:Store.*", "driver.log:ExperimentLog.write"],
    "report": ["driver.finishing:write_results"],
}
"""Part -> the functions and methods of powerbench whose time it is (``Class.*``: all public methods)."""


class Ledger:
    """Wall and CPU seconds of the main thread's time, by part."""

    def __init__(self, started: float) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.first_step: float | None = None
        self._parts, self._since = [IMPORTS], (started, 0.0)
        self._thread = threading.get_ident()

    def enter(self, part: str) -> None:
        self._book()
        self._parts.append(part)

    def leave(self) -> None:
        self._book()
        self._parts.pop()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        if threading.get_ident() != self._thread:
            yield
            return
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def _book(self) -> None:
        now = (time.monotonic(), time.process_time())
        booked = self.seconds.setdefault(self._parts[-1], [0.0, 0.0])
        for clock in (0, 1):
            booked[clock] += now[clock] - self._since[clock]
        self._since = now


def run(ledger: Ledger, words: list[str]) -> int:
    """The exit status of the command."""
    _watch_imports(ledger)
    from powerbench.cli import main

    for part, places in PLACES.items():
        for place in places:
            _watch(ledger, part, place)
    _watch_model(ledger)
    ledger.enter(OTHER)
    try:
        return main(words)
    finally:
        ledger.leave()


def _watch_imports(ledger: Ledger) -> None:
    whole, by_name = builtins.__import__, importlib.import_module

    def import_statement(name: str, *rest: Any, **named: Any) -> Any:
        if name in sys.modules:
            return whole(name, *rest, **named)
        with ledger.part(IMPORTS):
            return whole(name, *rest, **named)

    builtins.__import__ = import_statement
    importlib.import_module = _timed(ledger, IMPORTS, by_name)


def _watch(ledger: Ledger, part: str, place: str) -> None:
    module_name, _, path = place.partition(":")
    module = importlib.import_module(f"powerbench.{module_name}")
    owner, _, name = path.rpartition(".")
    if not owner:
        whole = getattr(module, name)
        _replace_everywhere(whole, _timed(ledger, part, whole))
        return
    kind = getattr(module, owner)
    names = [name] if name != "*" else [key for key, value in vars(kind).items() if _is_public_method(key, value)]
    for name in names:
        setattr(kind, name, _timed(ledger, part, vars(kind)[name]))


def _is_public_method(name: str, value: Any) -> bool:
    is_generator = inspect.isgeneratorfunction(inspect.unwrap(value))
    return inspect.isfunction(value) and not name.startswith("_") and not is_generator


def _replace_everywhere(whole: Any, timed: Any) -> None:
    """In every module of powerbench that has it by name."""
    for name, module in list(sys.modules.items()):
        if name.startswith("powerbench"):
            for key in [key for key, value in vars(module).items() if value is whole]:
                setattr(module, key, timed)


def _timed(ledger: Ledger, part: str, whole: Callable[..., Any]) -> Callable[..., Any]:
    """The function, or each step of a generator, booked under ``part``."""

    @wraps(whole)
    def timed(*args: Any, **named: Any) -> Any:
        with ledger.part(part):
            made = whole(*args, **named)
        return _steps(ledger, part, made) if inspect.isgenerator(made) else made

    return timed


def _steps(ledger: Ledger, part: str, generator: Iterator[Any]) -> Iterator[Any]:
    while True:
        with ledger.part(part):
            made = next(generator, ledger)
        if made is ledger:
            return
        yield made


def _watch_model(ledger: Ledger) -> None:
    """The stopwatch that runs while a model computes says what its own time is; its first step ends the start-up."""
    from powerbench.evaluation.model import Stopwatch
    from powerbench.training.optimizers import Optimizers

    begin, end, step = Stopwatch.__enter__, Stopwatch.__exit__, Optimizers.step

    def enter(watch: Stopwatch) -> None:
        begin(watch)
        ledger.enter(MODEL)

    def leave(watch: Stopwatch, *error: Any) -> None:
        ledger.leave()
        end(watch, *error)

    def first_step(self: Optimizers, *args: Any) -> Any:
        if ledger.first_step is None:
            ledger.first_step = time.process_time()
        return step(self, *args)

    Stopwatch.__enter__, Stopwatch.__exit__, Optimizers.step = enter, leave, first_step  # type: ignore[method-assign]


if __name__ == "__main__":
    report, started, *command = sys.argv[1:]
    start_lightly()
    book = Ledger(float(started))
    status = run(book, command)
    Path(report).write_text(json.dumps({"seconds": book.seconds, "first_step": book.first_step}))
    end_process(status)
