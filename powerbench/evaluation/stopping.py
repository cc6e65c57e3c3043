"""A stop that was asked for takes effect between two batches."""

from __future__ import annotations

from collections.abc import Callable

from powerbench.errors import Stopped


def poller(should_stop: Callable[[], bool] | None) -> Callable[[], None]:
    """A function to call between batches: it raises Stopped once ``should_stop`` says so."""

    def poll() -> None:
        if should_stop is not None and should_stop():
            raise Stopped("stopped before its end")

    return poll
