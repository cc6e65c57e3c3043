"""From features of a dataset to a progression of its splits, with validation classes and few-shot episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from split_managers.class_cut import items_of, level_of
from split_managers.contract import DatasetIndex, Indices
from split_managers.distribution_shift import Features, State, Walk, removal_phase, swap_phase
from split_managers.progression import HardnessSplit, Progression

MONOTONE, REFERENCE = "monotone", "reference"
EASIER_HISTORY = 30
"""The history of exchanges that make a split easier, as published."""


@dataclass(frozen=True)
class ProgressionRecipe:
    """How a progression is made.

    mode: ``reference`` walks as the published script does: ``n_swaps`` iterations of exchanges, then ``n_swaps + 10``
    with deletions; ``monotone`` (ours) keeps an exchange as long as it raises the distance and deletes otherwise.
    swaps_iter, history: pairs exchanged in an iteration, and how many of the last list positions are blocked.
    easier: iterations that make the initial split easier first (published for CUB200: 15).
    super_level: exchange whole super-classes of this label level.
    splits: how many to keep, spaced evenly by distance, the initial one among them; none has less than
    ``least_share`` of the initial classes.
    shots, episodes: sizes of the few-shot supports, and how many of each.
    seed: of validation classes and episodes; the splits themselves are not drawn.
    """

    mode: str = MONOTONE
    n_swaps: int = 25
    swaps_iter: int = 2
    history: int = 5
    easier: int = 0
    super_level: int = 0
    splits: int = 8
    least_share: float = 0.5
    shots: tuple[int, ...] = (2, 5, 10)
    episodes: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in (MONOTONE, REFERENCE):
            raise ValueError(f"mode must be {MONOTONE} or {REFERENCE}, not {self.mode!r}")
        Walk(self.swaps_iter, self.history)
        for name, least in (
            ("n_swaps", 1),
            ("easier", 0),
            ("super_level", 0),
            ("splits", 1),
            ("episodes", 0),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, not {getattr(self, name)}")
        if not 0 <= self.least_share <= 1:
            raise ValueError(f"least_share must lie in 0 to 1, not {self.least_share}")
        if any(shots < 1 for shots in self.shots):
            raise ValueError(f"shots must be 1 or more, not {min(self.shots)}")


def make_progression(
    index: DatasetIndex, features: NDArray[np.floating], train: Indices, test: Indices, recipe: ProgressionRecipe
) -> tuple[Progression, list[State]]:
    """The progression, and every state that was walked through.

    features: one row an item of ``index``. train, test: the items of the initial split, class-disjoint. ValueError if
    they are not, or if classes have no names of their own.
    """
    names = index.class_names[0]
    if len(set(names)) != len(names):
        raise ValueError("the dataset's class names are not unique, so a progression cannot name its classes")
    labels = level_of(index, recipe.super_level)
    sides = [np.unique(labels[items]) for items in (train, test)]
    if np.isin(sides[0], sides[1]).any():
        raise ValueError(f"the initial split shares classes of level {recipe.super_level} between training and test")
    means, rows = class_means(features, labels, np.concatenate(sides))
    above = [index.class_names[recipe.super_level][label] for label in rows]
    place = {int(label): row for row, label in enumerate(rows)}
    initial = [[place[int(label)] for label in side] for side in sides]
    walked = walk(means, above, initial[0], initial[1], recipe)
    least = recipe.least_share * min(len(side) for side in sides)
    kept = choose([state for state in walked if len(state.train) >= least], recipe.splits)
    available = np.sort(np.concatenate([train, test]))
    shots = usable_shots(index, available, recipe.shots)
    splits = {
        number: _finished(state, number, index, available, labels, rows, recipe, shots)
        for number, state in enumerate(kept, start=1)
    }
    made = {
        **asdict(recipe),
        "shots": list(shots),
        "shots_left_out": [n for n in recipe.shots if n not in shots],
        "walk": [[state.raw_id, state.fid, len(state.train)] for state in walked],
    }
    return Progression(splits, made), walked


def class_means(
    features: NDArray[np.floating], labels: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[Features, NDArray[np.int64]]:
    """The mean feature of each wanted class (float64), and which class each row is of, ascending."""
    rows = np.unique(wanted)
    means = np.stack([features[labels == label].astype(np.float64).mean(axis=0) for label in rows])
    return means, rows


def walk(
    means: Features, names: Sequence[str], train: Sequence[int], test: Sequence[int], recipe: ProgressionRecipe
) -> list[State]:
    """All states in the order of their walk: those easier than the initial one first (the easiest first of all)."""
    steps = Walk(recipe.swaps_iter, recipe.history)
    further = recipe.n_swaps + 10
    easier: list[State] = []
    if recipe.easier:
        slow = Walk(recipe.swaps_iter, min(EASIER_HISTORY, min(len(train), len(test)) - recipe.swaps_iter))
        easier = list(swap_phase(means, names, train, test, recipe.easier, slow, inverse=True))[:0:-1]
    if recipe.mode == MONOTONE:
        iterations = recipe.n_swaps + further
        return easier + list(removal_phase(means, names, train, test, iterations, steps, monotone=True, prefix=""))
    swapped = list(swap_phase(means, names, train, test, recipe.n_swaps, steps))
    last = swapped[-1]
    removed = removal_phase(means, names, last.train, last.test, further, steps, monotone=False)
    return easier + swapped + list(removed)[1:]


def choose(walked: Sequence[State], count: int) -> list[State]:
    """``count`` states (or as many as there are) of strictly growing distance, spaced as evenly as they allow.

    Kept among them is the initial state, whose id is 0, and before it come only easier ones (negative ids).
    """
    start = next(place for place, state in enumerate(walked) if state.raw_id in ("0", "R0"))
    rising = [walked[start]]
    for state in walked[start + 1 :]:
        if state.fid > rising[-1].fid:
            rising.append(state)
    falling = [walked[start]]
    for state in reversed(walked[:start]):
        if state.fid < falling[-1].fid:
            falling.append(state)
    candidates = falling[:0:-1] + rising
    initial, last = len(falling) - 1, len(candidates) - 1
    chosen = set([initial, last, 0][:count])
    targets = np.linspace(candidates[0].fid, candidates[-1].fid, count).tolist()
    for n in chosen:
        targets.remove(min(targets, key=lambda target: abs(target - candidates[n].fid)))
    for target in targets:
        if free := [n for n in range(len(candidates)) if n not in chosen]:
            chosen.add(min(free, key=lambda n: abs(candidates[n].fid - target)))
    return [candidates[n] for n in sorted(chosen)]


def usable_shots(index: DatasetIndex, items: Indices, shots: Sequence[int]) -> tuple[int, ...]:
    """The numbers of shots that leave every class at least one query."""
    smallest = int(np.unique(index.labels[items, 0], return_counts=True)[1].min())
    return tuple(n for n in shots if n < smallest)


def _finished(
    state: State,
    number: int,
    index: DatasetIndex,
    available: Indices,
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    recipe: ProgressionRecipe,
    shots: Sequence[int],
) -> HardnessSplit:
    sides = [available[items_of(labels[available], rows[list(side)])] for side in (state.train, state.test)]
    train, test = (np.unique(index.labels[side, 0]) for side in sides)
    drawn = np.random.default_rng([recipe.seed, number]).permutation(train)
    count = 3 * len(train) // 4

    def named(classes: NDArray[np.int64]) -> tuple[str, ...]:
        return tuple(index.class_names[0][label] for label in classes)

    episodes = {
        n: tuple(draw_support(index, sides[1], n, [recipe.seed, number, n, e]) for e in range(recipe.episodes))
        for n in shots
    }
    return HardnessSplit(
        fid=state.fid,
        train=named(train),
        test=named(test),
        split_train=named(np.sort(drawn[:count])),
        split_val=named(np.sort(drawn[count:])),
        episodes=episodes,
        raw_id=state.raw_id,
    )


def draw_support(
    index: DatasetIndex, items: Indices, shots: int, seed: Sequence[int]
) -> dict[str | int, tuple[str, ...]]:
    """``shots`` items of each class of ``items``, without replacement, named by class and item."""
    generator = np.random.default_rng(list(seed))
    labels = index.labels[items, 0]
    support: dict[str | int, tuple[str, ...]] = {}
    for label in np.unique(labels):
        chosen = np.sort(generator.permutation(items[labels == label])[:shots])
        support[index.class_names[0][label]] = tuple(index.item_names[item] for item in chosen)
    return support
