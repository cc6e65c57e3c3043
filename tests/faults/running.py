"""Runs of the real command line, killed at chosen moments or places, and what they leave."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from resource import RLIMIT_FSIZE, setrlimit
from typing import Any

import psutil

from tests.driver.world import World

ROOT = Path(__file__).resolve().parents[2]
HOOKS = Path(__file__).parent / "hooks"
PROGRAM = (str(ROOT / "run.py"),)
MARK = "POWERBENCH_TEST_SCENE"
LONGEST = 900.0
EQUAL_FILES = ("*.pth", "meta_logs/results.*", "best_parameters.yaml", "configs/*.yaml")
"""Files whose bytes must not depend on how often the command was interrupted."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status (negative: the signal that killed it), what it said, how long it took."""

    status: int
    output: str
    errors: str
    seconds: float


class Scene:
    """A world whose commands are processes of their own; all of them carry a mark by which they are found again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = world.folder / "places.log"
        self.said = world.folder / "said"
        self._mark = uuid.uuid4().hex

    def start(
        self,
        words: Sequence[str],
        *,
        fault: str = "",
        program: Sequence[str] = PROGRAM,
        largest_file: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start ``python run.py`` in a session of its own.

        ``fault``: see hooks/sitecustomize.py. ``largest_file``: no file may grow larger, in bytes.
        """
        mine = {MARK: self._mark, "POWERBENCH_TEST_LOG": str(self.log), "POWERBENCH_TEST_FAULT": fault}
        mine |= {"OMP_NUM_THREADS": "1", "XDG_CONFIG_HOME": str(self.world.folder / "no_user_file")}
        # A measurement of coverage writes files too, and could not under a limit.
        inherited = {name: of for name, of in os.environ.items() if not (largest_file and name.startswith("COVERAGE_"))}
        return subprocess.Popen(
            [sys.executable, *program, *words],
            cwd=self.world.folder,
            env={**inherited, "PYTHONPATH": f"{HOOKS}{os.pathsep}{ROOT}", **mine},
            stdin=subprocess.DEVNULL,
            stdout=open(self.said.with_suffix(".out"), "wb"),  # no pipes: an orphan would keep them open
            stderr=open(self.said.with_suffix(".err"), "wb"),
            start_new_session=True,
            preexec_fn=largest_file and partial(setrlimit, RLIMIT_FSIZE, (largest_file, largest_file)),
        )

    def run(self, words: Sequence[str], *, kill_after: float | None = None, **how: Any) -> Ended:
        """Run a command to its end, or kill its driver after some seconds; nothing of it may be left."""
        started = time.monotonic()
        process = self.start(words, **how)
        try:
            process.wait(timeout=kill_after or LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
        return self.ended(process, started)

    def ended(self, process: subprocess.Popen[bytes], started: float) -> Ended:
        """Wait for a command that is about to end; nothing of it may be left."""
        status = process.wait(timeout=LONGEST)
        seconds = time.monotonic() - started
        assert self.survivors() == []
        assert self.network() == []
        output, errors = (self.said.with_suffix(suffix).read_text() for suffix in (".out", ".err"))
        return Ended(status, output, errors, seconds)

    def survivors(self, seconds: float = 2.0) -> list[list[str]]:
        """The command lines of processes of this scene that still live after ``seconds``."""
        deadline = time.monotonic() + seconds
        while (left := [process for process in psutil.process_iter() if self._is_mine(process)]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.05)
        return [_command_line(process) for process in left]

    def hits(self) -> list[str]:
        """The places at which a driver was killed (two of its workers may come to one before it is dead)."""
        return list(dict.fromkeys(line.removeprefix("hit ") for line in self._lines() if line.startswith("hit ")))

    def finished_twice(self, here: Sequence[str] = ()) -> list[str]:
        """The folders of fold runs that were trained to their end more than once; ``here``: those of this process."""
        lines = [line.removeprefix("finished ") for line in self._lines() if line.startswith("finished ")]
        return [folder for folder, count in Counter([*lines, *here]).items() if count > 1]

    def network(self) -> list[str]:
        """What the commands wanted of the network."""
        return [line for line in self._lines() if line.startswith("network ")]

    def forget(self) -> None:
        """Start over."""
        self.world.forget()
        shutil.rmtree(self.world.folder / "cache", ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return ["gone meanwhile"]


def outcome(world: World) -> dict[str, object]:
    """All that must be equal however a command came to its end: rows, names of files, and bytes of some."""
    files = sorted(path for path in world.root.rglob("*") if path.is_file())
    found: dict[str, object] = dict(world.everything())
    found["files"] = [str(path.relative_to(world.root)) for path in files]
    for path in files:
        if any(path.match(pattern) for pattern in EQUAL_FILES):
            content = path.read_bytes().replace(str(world.root).encode(), b"ROOT")  # the best setting names files
            found[str(path.relative_to(world.root))] = hashlib.sha256(content).hexdigest()
    return found


def differences(found: dict[str, object], expected: dict[str, object]) -> list[str]:
    """What differs between two outcomes, in words."""
    texts = []
    for name in sorted({*found, *expected}):
        mine, theirs = found.get(name), expected.get(name)
        if mine == theirs:
            continue
        if isinstance(mine, list) and isinstance(theirs, list):
            lost, new = [row for row in theirs if row not in mine], [row for row in mine if row not in theirs]
            texts.append(f"{name}: lost {lost[:3]}, new {new[:3]}")
        else:
            texts.append(f"{name}: {mine} instead of {theirs}")
    return texts


def was_killed(ended: Ended) -> bool:
    """Whether a command died of SIGKILL; any other end must have been a good one."""
    assert ended.status in (0, -signal.SIGKILL), ended
    return ended.status != 0
