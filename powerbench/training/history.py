"""What a fold run has measured so far, and the rules of selection and stopping that read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import torch
from torch import Tensor

from powerbench.evaluation.embedding import NotFinite
from powerbench.jobs import LossValue, Measurement

TOTAL_LOSS = "total_loss"


@dataclass
class History:
    """``epoch`` is the last finished one. Best: the epoch with the strictly greatest primary metric on validation.

    The untrained embedder (epoch 0) is the first to beat if it was measured; the untrained trunk never competes.
    """

    epoch: int = 0
    iterations: int = 0
    seconds: float = 0.0
    model_seconds: float = 0.0
    last_measured: int = 0
    best_epoch: int | None = None
    best_value: float = -math.inf
    best_weights: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    losses: list[LossValue] = field(default_factory=list)

    def is_best(self, value: float) -> bool:
        """Whether ``value`` beats all before it."""
        return value > self.best_value

    def set_best(self, epoch: int, value: float, weights: dict[str, dict[str, Tensor]]) -> None:
        """Note a new best epoch with copies of its weights."""
        self.best_epoch, self.best_value, self.best_weights = epoch, value, weights

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether the last measured epoch lies more than ``patience`` epochs after the best one."""
        return patience is not None and self.last_measured - (self.best_epoch or 0) > patience

    def line(self, when: str) -> str:
        """One line of progress: the last value of the primary metric and the best one."""
        first = next((row for row in reversed(self.measurements) if row.metric == self.measurements[0].metric), None)
        if first is None:
            return when
        best = f", best {self.best_value:.4f} at epoch {self.best_epoch}"
        return f"{when}: {first.metric} {first.value:.4f} on {first.split} (epoch {first.epoch}){best}"

    def state(self) -> dict[str, Any]:
        """Plain values and tensors, as a checkpoint keeps them."""
        plain = {name: value for name, value in vars(self).items() if name not in ("measurements", "losses")}
        return {
            **plain,
            "measurements": [list(astuple(row)) for row in self.measurements],
            "losses": [list(astuple(row)) for row in self.losses],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> History:
        """The history that :meth:`state` gave."""
        measurements = [Measurement(*row) for row in state["measurements"]]
        losses = [LossValue(*row) for row in state["losses"]]
        return cls(**{**state, "measurements": measurements, "losses": losses})


class EpochLosses:
    """Sums of named losses over an epoch, kept on the device: only :meth:`means` waits for it."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add one iteration's scalars."""
        for name, loss in losses.items():
            value = loss.detach().double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self, epoch: int) -> list[LossValue]:
        """The mean of each loss over the iterations that had it. Raises NotFinite if one is NaN or infinite."""
        if not self._sums:
            return []
        values = torch.stack([value.reshape(()) for value in self._sums.values()]).tolist()
        means = [
            LossValue(epoch, name, value / self._counts[name]) for name, value in zip(self._sums, values, strict=True)
        ]
        for mean in means:
            if not math.isfinite(mean.value):
                raise NotFinite("nan", f"{mean.name} is {mean.value} in epoch {epoch}")
        return means
