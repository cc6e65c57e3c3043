"""The processes that make batches outlive a fold run: the next one that wants the same images takes them over.

Starting and ending them takes a fold run longer than all else around its training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from torch import Tensor

from powerbench.data.images import ImageInputs, InputPart

_waiting: dict[str, ImageInputs] = {}
"""Inputs whose processes wait, by what they make; one at most."""


class LentInputs:
    """Image inputs whose processes wait for the next borrower when they are closed."""

    def __init__(self, key: str, inputs: ImageInputs) -> None:
        self._key, self._inputs = key, inputs

    def batches(
        self, plan: Sequence[np.ndarray], *, part: InputPart, seed: int = 0, views: int = 1
    ) -> Iterator[tuple[Tensor, ...]]:
        """See :meth:`ImageInputs.batches`."""
        return self._inputs.batches(plan, part=part, seed=seed, views=views)

    def sample(self, recipe: str) -> Tensor:
        """See :meth:`ImageInputs.sample`."""
        return self._inputs.sample(recipe)

    def close(self) -> None:
        """Let the processes wait, unless they are in the middle of something or failed."""
        stop_waiting()
        if self._inputs.idle:
            _waiting[self._key] = self._inputs
        else:
            self._inputs.close()


def lent(key: str, make: Callable[[], ImageInputs]) -> LentInputs:
    """The inputs that wait under ``key``, which says all that they depend on; else those that ``make`` gives."""
    inputs = _waiting.pop(key, None)
    stop_waiting()
    if inputs is not None and not inputs.idle:  # a process was killed while it waited
        inputs.close()
        inputs = None
    return LentInputs(key, inputs or make())


def stop_waiting() -> None:
    """End the processes that wait."""
    while _waiting:
        _waiting.popitem()[1].close()
