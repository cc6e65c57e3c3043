"""Whether a trunk takes the images it will be given, asked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from powerbench.errors import UserError
from powerbench.models.trunk_contract import ImageTrunk
from powerbench.models.trying import trying

_REACH = 64
"""How far to look for a size that works, in pixels."""

_taken: set[tuple[str, torch.Size]] = set()
"""Networks and the images that they took in this process: a first pass costs as much as many later ones."""


def refuse_size(trunk: ImageTrunk, images: Tensor, *, where: str) -> None:
    """Raise UserError, naming the nearest sizes that work, if ``trunk`` does not take ``images`` (B x 3 x h x w).

    The same network is asked once in a process, whatever its weights.
    """
    asked = (repr(trunk), images.shape)
    error = None if asked in _taken else _mistake(trunk, images)
    if error is None:
        _taken.add(asked)
        return
    height, width = images.shape[-2:]
    near = _nearest_sizes(trunk, max(height, width))
    advice = f"The nearest sizes it takes: {' and '.join(near)} pixels." if near else f"It says: {error}"
    raise UserError(
        f"the trunk ({trunk.identity}) does not take images of {width} x {height} pixels. {advice}", where=where
    )


def _mistake(trunk: ImageTrunk, images: Tensor) -> str | None:
    """What the trunk says to ``images`` in evaluation mode; None if it takes them."""
    with trying(trunk) as device:
        try:
            trunk(images.to(device))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError, ValueError) as error:
            return str(error)
    return None


def _nearest_sizes(trunk: ImageTrunk, size: int) -> list[str]:
    """The next smaller and the next larger square size that works; multiples of 32 if there are any near."""
    for step in (32, 1):
        ways: list[Iterable[int]] = [range(size - 1, max(size - _REACH, 0), -1), range(size + 1, size + _REACH)]
        found = [
            next((s for s in way if s % step == 0 and _mistake(trunk, torch.zeros(1, 3, s, s)) is None), None)
            for way in ways
        ]
        if any(found):
            return [f"{s} x {s}" for s in found if s is not None]
    return []
