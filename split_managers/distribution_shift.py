"""Making train/test splits of growing distribution shift from class means of any features.

Source: Milbich, Roth et al., Characterizing Generalization under Out-Of-Distribution Shifts in Deep Metric Learning,
NeurIPS 2021 (ooDML), and its published script, without the script's mistakes: features and names of a state are always
those of the same moment, the removal phase begins at the last state, and tied scores are ordered by class name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]


class Blocked(ValueError):
    """Every position of a side was used too recently."""


@dataclass(frozen=True)
class State:
    """A split on the way: classes (rows of the features) in the order of their list positions, and their distance."""

    raw_id: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    fid: float


@dataclass(frozen=True)
class Walk:
    """How the splits are walked through.

    swaps_per_iteration: pairs exchanged in each. history: how many of the last swapped list positions of each side
    are blocked (positions, not classes: whatever stands there).
    """

    swaps_per_iteration: int = 2
    history: int = 5

    def __post_init__(self) -> None:
        if self.swaps_per_iteration < 1 or self.history < 0:
            raise ValueError("swaps per iteration must be 1 or more, and the history 0 or more")


def frechet_distance(train: Features, test: Features) -> float:
    """The Fréchet (FID) distance between two sets of class means, n x D and m x D.

    ``|mu1 - mu2|^2 + tr C1 + tr C2 - 2 tr sqrt(C1 C2)`` with unbiased covariances. The last trace is the sum of the
    singular values of A B^T, where A^T A = C1 and B^T B = C2, so that no root of a D x D matrix is taken. ValueError
    for fewer than two classes on a side.
    """
    if len(train) < 2 or len(test) < 2:
        raise ValueError("a distance needs at least two classes on each side")
    first, second = (_root(side) for side in (train, test))
    apart = train.mean(axis=0) - test.mean(axis=0)
    shared = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(max(0.0, apart @ apart + (first**2).sum() + (second**2).sum() - 2 * shared))


def _root(side: Features) -> Features:
    """A matrix A with A^T A = the unbiased covariance, of at most D rows."""
    centred: Features = (side - side.mean(axis=0)) / np.sqrt(len(side) - 1)
    if len(side) > side.shape[1]:
        centred = np.asarray(np.linalg.qr(centred, mode="r"))
    return centred


def swap_phase(
    features: Features,
    names: Sequence[str],
    train: Sequence[int],
    test: Sequence[int],
    iterations: int,
    walk: Walk,
    *,
    inverse: bool = False,
) -> Iterator[State]:
    """Exchange, again and again, the classes that are closest to the other side (``inverse``: farthest from it).

    Yields the state before each iteration, then the last one; its id is the number of pairs exchanged so far, negative
    if inverse. ValueError if the history blocks every position.
    """
    sides = _Sides(features, names, list(train), list(test), walk)
    for iteration in range(iterations + 1):
        swapped = iteration * walk.swaps_per_iteration
        yield sides.state(str(-swapped if inverse else swapped))
        if iteration < iterations:
            sides.swap(sides.picks(inverse=inverse))


def removal_phase(
    features: Features,
    names: Sequence[str],
    train: Sequence[int],
    test: Sequence[int],
    iterations: int,
    walk: Walk,
    *,
    monotone: bool,
    prefix: str = "R",
) -> Iterator[State]:
    """Exchange or delete pairs so that the distance can go on growing.

    monotone: an exchange that raises the distance is kept; otherwise it is undone and the picked classes are deleted.
    Not monotone (the published code): an exchange that does not lower it is undone and the classes are deleted; one
    that lowers it is kept. Yields the state before each iteration, then the last; ends early when classes run out.
    """
    sides = _Sides(features, names, list(train), list(test), walk)
    for iteration in range(iterations + 1):
        state = sides.state(f"{prefix}{iteration * walk.swaps_per_iteration}")
        yield state
        smaller = min(len(state.train), len(state.test))
        if iteration == iterations or smaller - walk.swaps_per_iteration < 2:
            return
        try:
            picks = sides.picks(inverse=False)
        except Blocked:
            return
        sides.swap(picks)
        after = sides.fid()
        if (after <= state.fid) if monotone else (after >= state.fid):
            sides.swap(picks)
            sides.delete(picks)


class _Sides:
    """Both lists of classes while they change, and which of their positions were used last."""

    def __init__(self, features: Features, names: Sequence[str], train: list[int], test: list[int], walk: Walk) -> None:
        self._features, self._names, self._walk = features, names, walk
        self._classes = (train, test)
        self._used: tuple[list[int], list[int]] = ([], [])

    def state(self, raw_id: str) -> State:
        return State(raw_id, tuple(self._classes[0]), tuple(self._classes[1]), self.fid())

    def fid(self) -> float:
        """The distance to 12 digits: those behind them depend on the number of threads."""
        return float(f"{frechet_distance(*(self._features[side] for side in self._classes)):.12g}")

    def picks(self, *, inverse: bool) -> list[tuple[int, int]]:
        """Positions of the pairs to exchange; rankings are those of before the first of them."""
        rankings = self._rankings(inverse=inverse)
        return [
            (self._pick(rankings[0], self._used[0], skip), self._pick(rankings[1], self._used[1], skip))
            for skip in range(self._walk.swaps_per_iteration)
        ]

    def swap(self, picks: Sequence[tuple[int, int]]) -> None:
        train, test = self._classes
        for first, second in picks:
            train[first], test[second] = test[second], train[first]

    def delete(self, picks: Sequence[tuple[int, int]]) -> None:
        for side, positions in zip(self._classes, zip(*picks, strict=True), strict=True):
            for position in sorted(set(positions), reverse=True):
                del side[position]

    def _rankings(self, *, inverse: bool) -> list[list[int]]:
        """Positions of each side, those of the classes closest to the other side first; ties by class name."""
        means = [self._features[side].mean(axis=0) for side in self._classes]
        ranked = []
        for side, (own, other) in zip(self._classes, (means, means[::-1]), strict=True):
            values = self._features[side]
            scores = np.linalg.norm(values - other, axis=1) - np.linalg.norm(values - own, axis=1)
            order = sorted(
                range(len(side)), key=lambda at: (-scores[at] if inverse else scores[at], self._names[side[at]])
            )
            ranked.append(order)
        return ranked

    def _pick(self, ranking: Sequence[int], used: list[int], skip: int) -> int:
        blocked = used[-self._walk.history :] if self._walk.history else []
        for position in ranking[skip:]:
            if position not in blocked:
                used.append(position)
                return position
        raise Blocked(f"a history of {self._walk.history} blocks all {len(ranking)} positions: take a smaller one")
