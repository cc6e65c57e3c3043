"""Who a process is, and whether it still lives: safe against reused process ids, reboots and containers."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of some machine. ``machine`` differs between boots and between containers that share a host name."""

    host: str
    machine: str
    pid: int
    started: str | None


def this_process() -> ProcessIdentity:
    """The identity of the running process."""
    return ProcessIdentity(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()))


def is_alive(process: ProcessIdentity) -> bool | None:
    """Whether a process lives; ``None`` if that cannot be seen from here (it belongs to another machine)."""
    if (process.host, process.machine) != (socket.gethostname(), _machine()):
        return None
    if Path("/proc/self/stat").exists():
        started = _started(process.pid)
        return started is not None and started == process.started
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists, under another user
        return True
    return True


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    parts = [boot.read_text().strip()] if boot.exists() else []
    return " ".join([*parts, str(namespace.readlink())] if namespace.is_symlink() else parts)


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; ``None`` if it is gone or only awaits its parent."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]
