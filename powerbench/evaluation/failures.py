"""Which exceptions are a finding about the trial (NaN, out of memory, ...) and which must stop the work."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

import torch
from torch import nn

from powerbench.errors import PowerbenchError, SettingRefused
from powerbench.evaluation.embedding import NotFinite
from powerbench.jobs import Failure

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
"""What allocators of the CPU and of CUDA's libraries say in a RuntimeError, in lower case."""

_LOADER_DIED = "DataLoader worker"
"""How torch's RuntimeError begins, which it raises wherever this process happens to be."""


def failure_of(error: Exception, modules: Iterable[nn.Module]) -> Failure:
    """The failure that ``error`` amounts to; ``modules`` are looked at for weights that are not finite.

    Values that a class refuses fail the trial. Other errors of the request (UserError), stops, errors of the file
    system (a full disk, say) and killed processes are no finding about the trial: they are raised again.
    """
    if isinstance(error, NotFinite):
        return Failure(error.kind, str(error))
    if is_out_of_memory(error):
        return Failure("out_of_memory", _first_line(error))
    if isinstance(error, SettingRefused):
        return Failure("error", str(error))
    if isinstance(error, PowerbenchError | OSError):
        raise error
    if isinstance(error, RuntimeError) and _LOADER_DIED in str(error):
        raise PowerbenchError(
            f"a process that makes batches died ({_first_line(error)}): it was killed, for lack of memory perhaps. "
            "Nothing of this is recorded; the same command goes on."
        ) from error
    if not all(bool(torch.isfinite(p).all()) for module in modules for p in module.parameters()):
        return Failure("nan", f"the weights are no longer finite; then: {describe(error)}")
    return Failure("error", describe(error))


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory, of the host or of a GPU, did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _NO_MEMORY)


def describe(error: Exception) -> str:
    """Type and message of an error, and the line of code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    text = f"{type(error).__name__}: {_first_line(error)}"
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno}, in {frames[-1].name})" if frames else text


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
