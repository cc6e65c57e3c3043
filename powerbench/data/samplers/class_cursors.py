"""Items class by class, as the balanced samplers of Divide and Conquer take them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from powerbench.data.samplers.classes import some_of


class ClassCursors:
    """A shuffled list of items and a cursor for each class.

    Where the rest of a list is too short, the items are drawn at random from the whole class (all different if it
    has enough). A cursor that reaches the end shuffles its list and starts again.

    Source: Divide and Conquer (Sanakoyeu et al., 2021), its class-balanced samplers.
    """

    def __init__(self, items: Sequence[np.ndarray], generator: np.random.Generator) -> None:
        self._items = [generator.permutation(inside) for inside in items]
        self._cursors = [0] * len(self._items)
        self._generator = generator

    def take(self, label: int, count: int) -> list[int]:
        """``count`` items of a class."""
        items, start = self._items[label], self._cursors[label]
        if start + count > len(items):
            taken = some_of(items, count, self._generator)
        else:
            taken = items[start : start + count].tolist()
        self._cursors[label] = start + count
        if start + count >= len(items):
            self._generator.shuffle(items)
            self._cursors[label] = 0
        return taken
