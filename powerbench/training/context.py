"""What a method is offered during one epoch (:class:`powerbench.methods.contract.Context`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from powerbench.classes import build
from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError
from powerbench.evaluation.embedding import embed, measurable
from powerbench.evaluation.opening import FoldRun
from powerbench.methods.contract import Part, PlannedBatch
from powerbench.seeding import numpy_generator


class EpochContext:
    """One epoch of a fold run, as its method sees it."""

    def __init__(self, config: ExperimentConfig, run: FoldRun, seed: int, epoch: int, poll: Callable[[], None]) -> None:
        self.epoch = epoch
        self.iterations = config.trainer.iterations_per_epoch
        self.batch_size = config.trainer.batch_size
        self._config, self._run, self._seed, self._poll = config, run, seed, poll
        self._plans = 0

    def sampler_plan(self, positions: np.ndarray | None = None, batches: int | None = None) -> list[PlannedBatch]:
        """Batches of the configured sampler; see the contract."""
        allowed = self._allowed(positions)
        labels = self._run.facts.labels[allowed]
        levels = self._run.data.dataset.index.labels[self._run.fold.train[allowed]]
        offered = {"labels": labels, "label_levels": levels, "batch_size": self.batch_size}
        sampler = build("sampler", self._config.sampler, **offered)
        self._plans += 1
        count = self.iterations if batches is None else batches
        try:
            plan = sampler.plan(count, self.generator(f"sampler {self._plans}"), self._embed_for(allowed))
        except ValueError as error:
            raise UserError(str(error), where=f"sampler/{self._config.sampler.name}") from error
        return [PlannedBatch(allowed[places]) for places in plan]

    def _allowed(self, positions: np.ndarray | None) -> np.ndarray:
        if positions is None:
            positions = np.arange(len(self._run.facts.labels))
        held_out = self._run.model.method.needs.held_out
        return positions if held_out is None else positions[~np.isin(positions, held_out)]

    def _embed_for(self, positions: np.ndarray) -> Callable[[], np.ndarray]:
        """Embeddings as they are compared. Raises NotFinite for a model that has diverged."""
        return lambda: measurable(self.embed("train"), self._config.tester, pca=None)[positions]

    def embed(self, part: Part = "train", output: str | None = None) -> Tensor:
        """Un-augmented outputs of the training part, or of what the method holds out."""
        items = self._run.fold.train
        if part == "held_out":
            held_out = self._run.model.method.needs.held_out
            items = items[:0] if held_out is None else items[held_out]
        size, run = self._config.tester.batch_size, self._run
        return embed(run.model, run.inputs, items, batch_size=size, outputs=(output,), poll=self._poll)[output]

    def generator(self, purpose: str) -> np.random.Generator:
        """Randomness that depends on the run's seed, the epoch and ``purpose`` only."""
        return numpy_generator(run=self._seed, epoch=self.epoch, purpose=f"method: {purpose}")
