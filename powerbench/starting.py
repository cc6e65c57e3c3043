"""The start of a process of ours, which is mostly the import of libraries."""

from __future__ import annotations

import gc

from powerbench.deferring import put_off_compiler


def start_lightly() -> None:
    """To be called first: no garbage is looked for until :func:`end_of_start`, and torch's compiler is not imported.

    Imports create a million objects and hardly any garbage; looking through all of them takes a fifth of the time.
    """
    gc.disable()
    put_off_compiler()


def end_of_start() -> None:
    """Look for garbage from here on, but no more in what was there before: it stays, as do pages shared with forks."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
