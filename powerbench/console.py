"""What the program says to a person: plain lines on standard output, warnings on standard error."""

from __future__ import annotations

import os
import re
import sys

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def open_closed_streams() -> None:
    """Give a process that was started without standard streams, as daemons may be, ones that lead nowhere.

    A file opened later would otherwise get the number of a stream, and what is printed would go into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115 - it stays open to the end


def say(text: str = "") -> None:
    """One line (or paragraph) of results or progress."""
    sys.stdout.write(harmless(text) + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(harmless(text) + "\n")
    sys.stderr.flush()


def harmless(text: str) -> str:
    """Text in which nothing commands a terminal: it may hold names and messages from somebody else's folder."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def duration(seconds: float) -> str:
    """A duration as people say it: ``42 s``, ``3 min``, ``2 h 05 min``, ``3 d 4 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"
