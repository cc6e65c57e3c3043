"""From a config and a budget to trials and fold runs, with their seeds. Pure: nothing is read or written.

A *search* trial is one proposed setting, a *reproduction* a fresh training of the chosen setting with
another seed, a *single* trial the config's own setting without search or reproductions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from powerbench.errors import UserError
from powerbench.seeding import seed_of

TrialKind = Literal["search", "reproduction", "single"]


@dataclass(frozen=True)
class Budget:
    """How much is trained: search trials at most, and the numbers of the reproductions.

    ``repeats``: without a search, the number of another experiment's search trial that is trained once more.
    """

    trials: int = 0
    reproductions: tuple[int, ...] = ()
    repeats: int | None = None

    @property
    def single(self) -> bool:
        """Whether nothing is searched, repeated or reproduced: one training of the config's own setting."""
        return not self.trials and not self.reproductions and self.repeats is None

    def at_least(self, other: Budget) -> Budget:
        """The budget that covers both: a resumed experiment never shrinks."""
        numbers = sorted({*self.reproductions, *other.reproductions})
        repeats = other.repeats if self.repeats is None else self.repeats
        return Budget(max(self.trials, other.trials), tuple(numbers), repeats)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        plain = {**asdict(self), "reproductions": list(self.reproductions)}
        return {key: value for key, value in plain.items() if value is not None}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The budget that :meth:`plain` gave."""
        return cls(int(plain["trials"]), tuple(plain["reproductions"]), plain.get("repeats"))


def reproduction_numbers(text: str) -> tuple[int, ...]:
    """``"10"`` means 0..9 and ``"5,10"`` means 5..9: the arguments of a range, as published."""
    try:
        bounds = [int(part) for part in str(text).split(",")]
    except ValueError:
        bounds = []
    if len(bounds) not in (1, 2) or min(bounds) < 0 or bounds != sorted(bounds):
        raise UserError(
            f"--reproductions takes a number of reproductions (10), or the first and one past the last (5,10), "
            f"not {text!r}."
        )
    return tuple(range(*bounds))


def run_seed(seed: int, kind: TrialKind, number: int, fold: int) -> int:
    """The seed of one fold run; it does not depend on the method, so that all methods share their seeds."""
    return seed_of(seed=seed, kind=kind, number=number, fold=fold)


@dataclass(frozen=True)
class Plan:
    """What an experiment will train, counted."""

    trials: int
    folds: int
    epochs: int
    iterations_per_epoch: int

    @property
    def fold_runs(self) -> int:
        """Trials times folds: the units of work."""
        return self.trials * self.folds

    @property
    def iterations(self) -> int:
        """Training iterations at most (early stopping may end a run before)."""
        return self.fold_runs * self.epochs * self.iterations_per_epoch
