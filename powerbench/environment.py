"""What a result was computed with: versions, hardware, code. Recorded and compared, never part of the protocol."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKAGES = {
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "pytorch_metric_learning": ("pytorch-metric-learning",),
    "numpy": ("numpy",),
    "pillow": ("pillow", "pillow-simd"),
    "timm": ("timm",),
    "pretrainedmodels": ("pretrainedmodels",),
    "faiss": ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cu11"),
    "ax": ("ax-platform",),
    "botorch": ("botorch",),
    "powerbench": ("powerbench",),
}
"""Recorded name -> the distributions that may provide it."""


def environment(device: torch.device, threads: int) -> dict[str, Any]:
    """Package versions, device, CUDA, CPU, threads, host, and the state of the code; plain values only."""
    return {**environment_of_process(), "threads": threads, "device": device.type, **_of_device(device)}


@cache
def environment_of_process() -> dict[str, Any]:
    """What of :func:`environment` can be known without torch: everything but the device and the threads."""
    return {
        "python": platform.python_version(),
        **{name: _version(candidates) for name, candidates in PACKAGES.items()},
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "git": git_state(Path(__file__).parents[1]),
    }


def _of_device(device: torch.device) -> dict[str, Any]:
    import torch

    if device.type != "cuda":
        return {"device_name": cpu_model(), "cuda": None, "cudnn": None}
    return {
        "device_name": torch.cuda.get_device_name(device),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


SETTING = ("config_hash", "protocol_fingerprint")
"""What a driver adds to each run's environment to say which setting it had: configs and protocols are compared by
themselves, key by key."""


def environment_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """``key old -> new`` for each key of two environments that differs, in the old one's order.

    A key that only one of them has was not recorded by the other's version of powerbench, and says nothing; the
    hashes of config and protocol (``SETTING``) are left out.
    """
    keys = [key for key in old if key in new and key not in SETTING]
    return [f"{key} {_shown(old[key])} -> {_shown(new[key])}" for key in keys if old[key] != new[key]]


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _version(candidates: tuple[str, ...]) -> str | None:
    for name in candidates:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


@cache
def cpu_model() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git_state(folder: Path) -> str | None:
    """The commit that ``folder`` is a checkout of, with ``+`` for uncommitted changes; None if it is no checkout."""
    if not (folder / ".git").exists():
        return None
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+" if changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
