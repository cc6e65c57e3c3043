"""A trunk and a method on one device, in one precision and memory layout."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType

import torch
from torch import Tensor

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError
from powerbench.jobs import PINNED_TO
from powerbench.methods.contract import Method, Outputs
from powerbench.models.batchnorm import freeze_batchnorm
from powerbench.models.trunk_contract import ImageTrunk

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Stopwatch:
    """Adds up the time spent inside ``with`` blocks, in seconds; blocks may be nested."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def __enter__(self) -> None:
        if self._depth == 0:
            self._since = time.perf_counter()
        self._depth += 1

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._since


@dataclass
class Model:
    """What maps images to embeddings. ``clock`` runs while it computes."""

    trunk: ImageTrunk
    method: Method
    device: torch.device
    precision: str = "float32"
    channels_last: bool = True
    frozen_trunk: bool = False
    frozen_batchnorm: bool = True
    training: bool = False
    clock: Stopwatch = field(default_factory=Stopwatch)

    def __post_init__(self) -> None:
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        self.trunk.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.method.modules.to(self.device)

    def train(self, training: bool = True) -> None:
        """Training mode, or evaluation mode. A frozen trunk stays in evaluation mode, as does frozen batch norm."""
        self.training = training
        self.method.modules.train(training)
        self.trunk.train(training and not self.frozen_trunk)
        if training and self.frozen_batchnorm and not self.frozen_trunk:
            freeze_batchnorm(self.trunk)

    def autocast(self) -> AbstractContextManager[None]:
        """The precision that forward passes run in."""
        enabled = self.precision != "float32"
        return torch.autocast(self.device.type, dtype=DTYPES[self.precision] if enabled else None, enabled=enabled)

    def place(self, inputs: Tensor) -> Tensor:
        """Inputs on the device, images in the configured layout."""
        moved = inputs.to(self.device, non_blocking=True)
        if moved.ndim == 4 and self.channels_last:
            return moved.contiguous(memory_format=torch.channels_last)
        return moved

    def wait(self) -> None:
        """Return when the device has computed and copied what it was asked to."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def trunk_outputs(self, inputs: Tensor, names: tuple[str, ...]) -> Outputs:
        """The trunk's outputs for placed inputs; a frozen trunk keeps no graph."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_trunk):
            outputs: Outputs = self.trunk(inputs, names)
        return outputs


def choose_device(config: ExperimentConfig) -> torch.device:
    """The configured device; ``auto`` is the first GPU if there is one.

    Raises UserError if it does not exist, or if this worker process was given a GPU that does not.
    """
    text = config.device
    if text == "auto":
        if PINNED_TO in os.environ and not torch.cuda.is_available():
            raise UserError(f"there is no GPU {os.environ[PINNED_TO]} that torch could use.", where="--devices")
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise UserError(f"{text!r} is not a device; valid are auto, cpu, cuda and cuda:<n>.", where="device") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"{text!r} is not supported; valid are auto, cpu, cuda and cuda:<n>.", where="device")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"{text} was asked for, but torch finds {torch.cuda.device_count()} GPUs.", where="device")
    return device


def use_threads(threads: int) -> None:
    """Compute with ``threads`` threads from here on in this process: results depend on their number."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
