"""A lock on an experiment's folder that dies with its process and that no child inherits."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from powerbench.store.lease import LeaseRefused

LOCK_NAME = ".driver.lock"
_held: set[Path] = set()
_guard = threading.Lock()


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for one driver; raises :class:`LeaseRefused` at once if another holds it.

    A POSIX record lock: the kernel frees it when the process ends, however it ends, and children have no part in
    it even if forked (a ``flock`` would live on in them). Such locks do not exclude the own process, and closing
    any handle of the file frees them: hence the list of held folders, and nothing else may open the file.
    """
    path = folder.resolve() / LOCK_NAME
    with _guard:
        if path in _held:
            raise LeaseRefused(f"This process is already working in {folder}.")
        _held.add(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise LeaseRefused(f"Another process is working in {folder}; wait for it, or stop it first.") from error
            yield
    finally:
        with _guard:
            _held.discard(path)
