"""A trained model by itself: images to embeddings, without the data, the splits and the store it came from."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from powerbench.config.schema import ExperimentConfig
from powerbench.data.finishing import finish
from powerbench.data.recipes import build_recipe, stack
from powerbench.datasets.image_files import as_rgb, decode_image
from powerbench.evaluation.embedding import POOLED, normalized
from powerbench.evaluation.model import DTYPES
from powerbench.evaluation.weights import load_best
from powerbench.jobs import FoldModel, Places
from powerbench.methods.building import build_method
from powerbench.methods.contract import FoldFacts, Method, Outputs
from powerbench.models.building import build_bare_trunk, build_trunk
from powerbench.models.trunk import Trunk
from powerbench.models.trunk_contract import InputSpec
from powerbench.seeding import seed_of

if TYPE_CHECKING:
    from PIL import Image


class FoldEmbedder(nn.Module):
    """Images (B x 3 x height x width, as :class:`EvalTransform` makes them) to embeddings (B x D, float32).

    trunk, parts: the trained modules (``parts["embedder"]``; heads and losses of the method have their initial
    weights). The embedding is the method's default one, or the trunk's features with ``tester.use_trunk_output``;
    L2-normalised if ``tester.normalize_embeddings``. It computes in the experiment's precision and memory layout.
    It can be copied, pickled and saved: of the config it keeps plain values only.
    """

    def __init__(self, config: ExperimentConfig, trunk: Trunk, method: Method) -> None:
        super().__init__()
        self._channels_last = config.channels_last
        self.trunk = trunk.to(memory_format=self._layout)
        self.parts = method.modules
        self._method = method
        self._dtype = DTYPES[config.precision]
        self._use_trunk_output = config.tester.use_trunk_output
        self._normalize = config.tester.normalize_embeddings

    def forward(self, images: Tensor) -> Tensor:
        """The embeddings."""
        found = self.raw(self.features(images), self._use_trunk_output)
        return normalized(found) if self._normalize else found

    def features(self, images: Tensor) -> Outputs:
        """The trunk's outputs that the method needs, ``pooled`` among them."""
        placed = images.contiguous(memory_format=self._layout)
        with self._autocast(images):
            outputs: Outputs = self.trunk(placed, self._method.needs.trunk_outputs)
        return outputs

    def raw(self, features: Outputs, use_trunk_output: bool) -> Tensor:
        """The embedding of the trunk's outputs before any normalisation."""
        pooled = features[POOLED]
        with self._autocast(pooled):
            found = pooled if use_trunk_output else next(iter(self._method.embeddings(features).values()))
        return found.float()

    @property
    def _layout(self) -> torch.memory_format:  # which torch.save cannot save
        return torch.channels_last if self._channels_last else torch.contiguous_format

    def _autocast(self, inputs: Tensor) -> torch.autocast:
        return torch.autocast(inputs.device.type, dtype=self._dtype, enabled=self._dtype != torch.float32)


class EnsembleEmbedder(nn.Module):
    """Fold models side by side: images to their joined embeddings (B x sum of their D).

    As in the evaluation mode ``concatenated``: each normalised (``ensemble.normalize_embeddings``), put side by side,
    normalised again (``tester.normalize_embeddings``). A frozen trunk that all share is computed once.
    """

    def __init__(self, config: ExperimentConfig, folds: Sequence[FoldEmbedder]) -> None:
        super().__init__()
        self.folds = nn.ModuleList(folds)
        self._use_trunk_output = config.ensemble.use_trunk_output
        self._normalize_each = config.ensemble.normalize_embeddings
        self._normalize = config.tester.normalize_embeddings

    def forward(self, images: Tensor) -> Tensor:
        """The joined embeddings."""
        features: dict[int, Outputs] = {}
        parts = []
        for fold in self.folds:
            assert isinstance(fold, FoldEmbedder)
            if id(fold.trunk) not in features:
                features[id(fold.trunk)] = fold.features(images)
            found = fold.raw(features[id(fold.trunk)], self._use_trunk_output)
            parts.append(normalized(found) if self._normalize_each else found)
        joined = torch.cat(parts, dim=1)
        return normalized(joined) if self._normalize else joined


class EvalTransform:
    """One image (a PIL image, the path of a file, or its bytes) to what the trunk takes: 3 x height x width, float32.

    The experiment's eval recipe, then the channel order, value range and normalisation of its trunk; transparent
    parts become white. Raises UserError for a file that is no image.
    """

    def __init__(self, config: ExperimentConfig, spec: InputSpec) -> None:
        self._recipe = build_recipe(config.transforms.eval, where="config_transforms: transforms/eval")
        self._spec = spec

    def __call__(self, image: Image.Image | str | Path | bytes) -> Tensor:
        """The tensor of one image; ``torch.stack`` makes a batch of several."""
        if isinstance(image, str | Path | bytes):
            name = "given as bytes" if isinstance(image, bytes) else str(image)
            image = decode_image(image if isinstance(image, bytes) else Path(image), name)
        array = self._recipe.end(self._recipe.start(as_rgb(image)))
        return finish(stack([array]), self._spec)[0]


def load_folds(config: ExperimentConfig, places: Places, models: Sequence[FoldModel]) -> list[FoldEmbedder]:
    """The trained models of these fold runs, in evaluation mode, on the CPU.

    Raises UserError if saved weights are missing, damaged or those of another model; and if the trunk's pretrained
    weights are missing where it was frozen.
    """
    copies: dict[int, Any] = {}  # of one frozen trunk there is one copy
    return [_load_fold(config, places, model, copies) for model in models]


def _load_fold(config: ExperimentConfig, places: Places, model: FoldModel, copies: dict[int, Any]) -> FoldEmbedder:
    if config.freeze_trunk:  # its weights were not saved, and others in this process may hold it
        trunk = deepcopy(build_trunk(config, places, seed=seed_of(run=model.seed, purpose="trunk")), copies)
    else:
        trunk = build_bare_trunk(config, places)
    facts = FoldFacts(
        widths=trunk.widths,
        labels=np.arange(2),
        class_names=("first", "second"),  # of its classes only the losses knew, which are not used
        embedder_seed=seed_of(run=model.seed, purpose="embedder"),
    )
    method = build_method(config, facts, trunk, model.seed)
    embedder = method.modules["embedder"]
    load_best({"embedder": embedder} if config.freeze_trunk else {"trunk": trunk, "embedder": embedder}, model.folder)
    return FoldEmbedder(config, trunk, method).eval()
