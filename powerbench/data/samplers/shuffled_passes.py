"""Drawing values so that each is drawn equally often."""

from __future__ import annotations

import numpy as np


class ShuffledPasses:
    """An endless stream of shuffled passes over some values, each value once a pass."""

    def __init__(self, values: np.ndarray, generator: np.random.Generator) -> None:
        self._values: list[int] = values.tolist()
        self._generator = generator
        self._waiting: list[int] = []

    def take(self, count: int) -> list[int]:
        """The next ``count`` values: all different if there are as many.

        Otherwise every value floor(count / values) times, and the rest all different. A value that
        would come twice because one pass ends and the next begins waits for the following call.
        """
        rounds, rest = divmod(count, len(self._values))
        taken, self._waiting = self._waiting[:rest], self._waiting[rest:]
        if len(taken) < rest:
            following: list[int] = self._generator.permutation(self._values).tolist()
            seen = set(taken)
            extra = [value for value in following if value not in seen][: rest - len(taken)]
            seen = set(extra)
            self._waiting = [value for value in following if value not in seen]
            taken += extra
        return self._values * rounds + taken
