"""Batches of transformed images, made in this process or by worker processes, with the same result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from powerbench.data.decoded_images import DecodedImages
from powerbench.data.finishing import finish
from powerbench.data.loader import Loader
from powerbench.data.randomness import generators_restored, reseed
from powerbench.data.recipes import Recipe
from powerbench.data.taps import Undeveloped, developed
from powerbench.datasets.contract import Dataset
from powerbench.errors import PowerbenchError, UserError
from powerbench.models.trunk_contract import InputSpec
from powerbench.seeding import seed_of

InputPart = Literal["train", "eval"]
"""Which recipe is applied."""


class Request(NamedTuple):
    """One batch to be made."""

    position: int
    items: np.ndarray
    part: str
    seed: int
    views: int


class BatchMaker(torch.utils.data.Dataset):
    """Makes the batch of a :class:`Request`: for each view what its recipe gives.

    Each image is drawn with its own seed, so that a batch does not depend on who makes it, or after which others.
    ``of_views`` names the recipes that a part's views are made with in turn (the one called like the part unless it
    says otherwise). ``kept`` holds what recipes begin with; those that it does not name are decoded each time.
    """

    def __init__(
        self,
        dataset: Dataset,
        recipes: Mapping[str, Recipe],
        kept: Mapping[str, DecodedImages] | None = None,
        of_views: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._dataset = dataset
        self._recipes = recipes
        self._kept = kept or {}
        self._of_views = of_views or {}

    def __getitem__(self, request: Request) -> tuple[Tensor | Undeveloped, ...] | UserError:
        """The views of a batch, or the user's mistake that prevents it (raised where it can be understood)."""
        in_turn = self._of_views.get(request.part, (request.part,))
        names = [in_turn[view % len(in_turn)] for view in range(request.views)]
        # a recipe without chance gives all its views the same images, which are made once
        sources = [names.index(name) if self._recipes[name].deterministic else v for v, name in enumerate(names)]
        made: dict[int, list[Tensor]] = {view: [] for view in dict.fromkeys(sources)}
        try:
            with generators_restored():
                for place, item in enumerate(request.items):
                    started: dict[str, np.ndarray] = {}
                    for view, images in made.items():
                        recipe = self._recipes[names[view]]
                        if recipe.head_text not in started:
                            started[recipe.head_text] = self._start(names[view], recipe, int(item))
                        reseed(seed_of(seed=request.seed, position=request.position, place=place, view=view))
                        images.append(recipe.end(started[recipe.head_text]))
            together = {view: self._recipes[names[view]].together(images) for view, images in made.items()}
        except UserError as error:
            return error
        return tuple(together[view] for view in sources)

    def _start(self, name: str, recipe: Recipe, item: int) -> np.ndarray:
        def make() -> np.ndarray:
            return recipe.start(self._dataset.image(item))

        return self._kept[name].image(item, make) if name in self._kept else make()


class ImageInputs:
    """Batches of images as the trunk needs them; see :func:`powerbench.data.inputs.open_inputs`.

    workers: how many processes make the batches of each part or recipe (0: this process does). They start with the
    first batch and stay until :meth:`close`; they end by themselves if this process dies. Parts with the same number
    share them, unless the batches of both are iterated at a time.
    kept, of_views: as :class:`BatchMaker` takes them.
    """

    def __init__(
        self,
        dataset: Dataset,
        recipes: Mapping[str, Recipe],
        spec: InputSpec,
        *,
        device: torch.device,
        workers: Mapping[str, int],
        kept: Mapping[str, DecodedImages] | None = None,
        of_views: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._maker = BatchMaker(dataset, recipes, kept, of_views)
        self._unkept_maker = BatchMaker(dataset, recipes)
        self._spec = spec
        self._device = device
        self._workers = workers
        self._loaders: list[Loader] = []
        self._busy: set[str] = set()
        self._failed = False

    def batches(
        self, plan: Sequence[np.ndarray], *, part: str, seed: int = 0, views: int = 1
    ) -> Iterator[tuple[Tensor, ...]]:
        """The batches of ``plan`` (item numbers) in order: one finished float32 tensor a view, on the device.

        ``part`` is a part, or the name of a recipe that all views are then made with.

        Only one iteration of a part may be under way at a time. Raises UserError if images cannot be decoded or
        do not form a batch.
        """
        requests = [Request(position, items, part, seed, views) for position, items in enumerate(plan)]
        for made in self._made(requests, part):
            if isinstance(made, UserError):
                raise made
            yield tuple(self._finished(view) for view in made)

    def sample(self, recipe: str) -> Tensor:
        """The dataset's first image by a recipe (1 x 3 x height x width), on the CPU; nothing is kept for it.

        Raises UserError if the recipe cannot be applied to images.
        """
        try:
            made = self._unkept_maker[Request(0, np.zeros(1, np.int64), recipe, 0, 1)]
        except (OSError, MemoryError, PowerbenchError):
            raise
        except Exception as error:  # transforms of the library and of users raise errors of any type
            what = f"the transforms fail on the first image: {type(error).__name__}: {error}"
            raise UserError(what, where=f"config_transforms: transforms/{recipe}") from error
        if isinstance(made, UserError):
            raise made
        return finish(made[0] if isinstance(made[0], Tensor) else developed(made[0]), self._spec)

    @property
    def idle(self) -> bool:
        """Whether the worker processes live, have made all they were asked for, and never failed."""
        return not self._busy and not self._failed and all(loader.alive for loader in self._loaders)

    def close(self) -> None:
        """Stop the worker processes."""
        self._loaders.clear()

    def _finished(self, made: Tensor | Undeveloped) -> Tensor:
        if isinstance(made, Tensor):
            images = made.to(self._device, non_blocking=True)
        else:
            images = developed(Undeveloped(*(part.to(self._device, non_blocking=True) for part in made)))
        return finish(images, self._spec)

    def _made(self, requests: Sequence[Request], part: str) -> Iterator[Any]:
        if not self._workers[part]:
            yield from (self._maker[request] for request in requests)
            return
        if part in self._busy:
            raise RuntimeError(f"the batches of part {part!r} are already being iterated")
        self._busy.add(part)
        loader = self._free_loader(self._workers[part])
        loader.busy = True
        try:
            yield from loader.made(requests)
        except Exception:
            self._failed = True
            raise
        finally:
            self._busy.discard(part)
            loader.busy = False

    def _free_loader(self, workers: int) -> Loader:
        for loader in self._loaders:
            if loader.workers == workers and not loader.busy:
                return loader
        self._loaders.append(Loader(self._maker, workers, pinned=self._device.type == "cuda"))
        return self._loaders[-1]
