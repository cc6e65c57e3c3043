"""The searches that are killed: trunk frozen or trained, one process or several; a trial among the first fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.driver.world import World
from tests.faults import parts
from tests.training import tiny

FROZEN: dict[str, Any] = {
    "freeze_trunk": True,
    "models": {"trunk": {tiny.named("tiny_trunk"): {"pretrained": True}}, "embedder": {"MLP": {"layer_sizes": [5]}}},
    "transforms": {"train": {}, "eval": {}},
}
FAILS = 1
"""The number of the search trial whose loss is NaN on all folds: its margin, a Sobol point, lies in the range below."""


@dataclass(frozen=True)
class Variant:
    """A search in the tiny world. ``flags`` are given to the command, ``config`` is laid over the tiny one."""

    name: str
    config: dict[str, Any]
    flags: tuple[str, ...] = ()
    workers: int = 1

    def world(self, folder: Path) -> World:
        """A world in ``folder`` with this variant's config."""
        world = World(folder)
        file = Path(parts.__file__)
        content = {**tiny.CONFIG, "dataset": {tiny.named("NoisyImages", file): {}}, **self.config}
        world.write("tiny", {f"{key}~OVERRIDE~": value for key, value in content.items()})
        return world

    def words(self, world: World, *, trials: int, reproductions: int, workers: int | None = None) -> list[str]:
        """The command line of the search, with the given number of workers in place of the variant's."""
        loss = tiny.named("LossThatFailsBetween", Path(parts.__file__))
        searched = f"{{metric_loss: {{'{loss}': {{neg_margin~BAYESIAN~: [0, 1], low: 0.4, high: 0.5}}}}}}"
        more = ["--loss_funcs~OVERRIDE~", searched, *self.flags, "--workers", str(workers or self.workers)]
        return world.words("t", *more, trials=trials, reproductions=reproductions, search=False)


PARALLEL = ("--parallel_trials", "4")
VARIANTS = (
    Variant("frozen", FROZEN),
    Variant("trained", {}),
    Variant("frozen_parallel", FROZEN, PARALLEL, workers=2),
    Variant("trained_parallel", {}, PARALLEL, workers=2),
)
