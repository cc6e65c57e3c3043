"""The three ways a command can end other than well, each with its exit status."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PowerbenchError(Exception):
    """The work failed, for a reason the message explains (exit status 1)."""

    exit_status = 1


class UserError(PowerbenchError):
    """The request was wrong: nothing was trained, nothing was written (exit status 2).

    ``where`` says in which file and under which key, or on the command line.
    ``near`` lists the valid names nearest to the one given.
    """

    exit_status = 2

    def __init__(self, what: str, *, where: str | None = None, near: Iterable[str] = ()) -> None:
        self.what, self.where, self.near = what, where, tuple(near)
        message = f"{where}: {what}" if where else what
        if self.near:
            message += f" Did you mean {' or '.join(self.near)}?"
        super().__init__(message)


class SettingRefused(UserError):
    """A class refuses the values it is given: a wrong request, or, for values a search proposed, a failed trial."""


class Stopped(PowerbenchError):
    """The work was stopped before its end; the same command continues it (exit status 3)."""

    exit_status = 3


def file_system_error(error: OSError) -> PowerbenchError:
    """What to say of a full disk, a file that may not be written and the like."""
    what = f"{error.strerror}: {str(error.filename)!r}" if error.strerror and error.filename else str(error)
    return PowerbenchError(
        f"{what}. What was finished before is kept; once the cause is removed, the same command goes on."
    )


def nearest(name: str, valid: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The valid names most like ``name``, best first, compared without regard to case."""
    by_lower = {candidate.lower(): candidate for candidate in valid}
    return tuple(by_lower[m] for m in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.5))
