"""A cascade of embedders, each on a deeper layer of the trunk and on what the one before found hard."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from pytorch_metric_learning.miners import HDCMiner
from torch import Tensor, nn

from powerbench.classes import build
from powerbench.config.schema import ClassSpec, ExperimentConfig, thaw
from powerbench.errors import UserError, nearest
from powerbench.methods.checking import CLASSIFIER, CLASSIFIER_LOSS, SUBSET_MINER, check_names
from powerbench.methods.classifier import build_classifier, classifier_names
from powerbench.methods.contract import AboutMethod, Batch, FoldFacts, Method, Needs, Outputs, Update
from powerbench.methods.metric_losses import build_losses, in_full_precision, output_size
from powerbench.models.building import build_head
from powerbench.seeding import seed_of, seeded

_LOSS = re.compile(rf"(?:metric_loss|{CLASSIFIER_LOSS})_(\d+)")


class CascadedEmbeddings(Method):
    """Levels 0, 1, ...: each an embedder on its own layer of the trunk, with losses and a miner of its own.

    ``layers_to_extract`` names the layers, one a level (feature maps are averaged over their places); without it every
    level reads the pooled features. Level i has ``metric_loss_i``, ``tuple_miner_i`` and, on its embedding,
    ``classifier_i`` with ``classifier_loss_i``; at least one of the losses. An HDCMiner chooses among the pairs that
    the level before was left with (level 0: all pairs), so that deeper levels train on harder ones; any other miner
    looks at its own level only, and a level without a miner passes nothing on. ``subset_batch_miner`` reduces the
    batch by the joined embedding.

    The levels' raw outputs side by side are measured (``joined``; ``level_0``, ... alone), and all embedders are kept.
    share_embedding_size: each level's MLP gets its share of the embedder's last size, so that the joined embedding is
    as long as other methods'. As in powerful-benchmarker it is not shared by default: each level has the whole size,
    and the protocol then says how many are joined.

    Sources: Yuan, Yang, Zhang, "Hard-Aware Deeply Cascaded Embedding", ICCV 2017 (arXiv 1611.05720); the trainer of
    this name in pytorch-metric-learning, and powerful-benchmarker 0.9.33. The latter ran the children of inception_v3
    one after the other, which left out its dropout and the conversion of its inputs; here the network is passed
    through as it is (``{inception_v3: {transform_input: False, dropout: 0}}`` is the published one).
    """

    def __init__(
        self, config: ExperimentConfig, facts: FoldFacts, trunk: nn.Module, share_embedding_size: bool = False
    ) -> None:
        self.check(config)
        levels = _levels(config)
        layers = tuple(config.layers_to_extract) or ("pooled",) * levels
        widths = [facts.widths[layer] for layer in layers]
        spec = _shared(config.models.embedder, levels) if share_embedding_size else config.models.embedder
        embedders = []
        for level, width in enumerate(widths):
            with seeded(seed_of(embedder=facts.embedder_seed, level=level) if level else facts.embedder_seed):
                embedders.append(build_head(spec, width))
        sizes = [output_size(embedder, width) for embedder, width in zip(embedders, widths, strict=True)]
        self.needs = Needs(trunk_outputs=tuple(dict.fromkeys(("pooled", *layers))))
        self.weights = dict(config.trainer.loss_weights or {})
        self.miners: dict[str, Any] = {name: build("miner", spec) for name, spec in config.mining_funcs.items()}
        self.modules = nn.ModuleDict({"embedder": LevelEmbedders(embedders, layers), **_modules(self.miners)})
        self.classifiers = {
            level: found
            for level, size in enumerate(sizes)
            if (found := build_classifier(config, size, facts.classes, f"_{level}")) is not None
        }
        self.metric_losses: dict[str, Any] = {}
        for level, size in enumerate(sizes):
            self.metric_losses |= build_losses(config, facts.classes, size, [f"metric_loss_{level}"])
        self.modules.update(_modules(self.metric_losses))
        for level, classifier in self.classifiers.items():
            self.modules.update(
                {f"{CLASSIFIER}_{level}": classifier.model, f"{CLASSIFIER_LOSS}_{level}": classifier.loss}
            )

    @staticmethod
    def check(config: ExperimentConfig) -> AboutMethod:
        """Names and kinds of losses, miners and models; whether each level has a loss and a layer."""
        levels = range(_levels(config))
        models = [f"{CLASSIFIER}_{level}" for level in levels]
        names = [name for name in config.loss_funcs if not name.startswith(CLASSIFIER_LOSS)]
        miners = [SUBSET_MINER, *(f"tuple_miner_{level}" for level in levels)]
        check_names(config, names, miners=miners, models=models)
        for level in levels:
            classifier_names(config, f"_{level}")
        shared = config.trainer.args.get("share_embedding_size", False)
        if shared:
            _shared(config.models.embedder, len(levels))
        return AboutMethod(joined_embedders=1 if shared else len(levels))

    def losses(self, batch: Batch, outputs: Sequence[Outputs]) -> Iterator[Update]:
        """One update for all modules."""
        found = self.modules["embedder"](outputs[0])
        losses: dict[str, Tensor] = {}
        indices = None
        with in_full_precision(found[0]):
            embeddings, labels = self._reduced([level.float() for level in found], batch.labels)
            for level, rows in enumerate(embeddings):
                indices = self._mined(level, rows, labels, indices)
                if (name := f"metric_loss_{level}") in self.metric_losses:
                    losses[name] = self.metric_losses[name](rows, labels, indices)
                if level in self.classifiers:
                    losses[f"{CLASSIFIER_LOSS}_{level}"] = self.classifiers[level](rows, labels)
        yield Update(losses, self.weights)

    def embeddings(self, outputs: Outputs) -> dict[str, Tensor]:
        """The levels' outputs side by side, and each by itself."""
        levels = self.modules["embedder"](outputs)
        return {"joined": torch.cat(levels, dim=1), **{f"level_{n}": found for n, found in enumerate(levels)}}

    def _reduced(self, levels: list[Tensor], labels: Tensor) -> tuple[list[Tensor], Tensor]:
        if SUBSET_MINER not in self.miners:
            return levels, labels
        kept = self.miners[SUBSET_MINER](torch.cat(levels, dim=1), labels)
        return [level[kept] for level in levels], labels[kept]

    def _mined(self, level: int, rows: Tensor, labels: Tensor, before: Any) -> Any:
        """What the level's miner chooses; ``before``: what the level before was left with."""
        miner = self.miners.get(f"tuple_miner_{level}")
        if miner is None:
            return None
        if not isinstance(miner, HDCMiner):
            return miner(rows, labels)
        miner.set_idx_externally(before, labels)
        try:
            return miner(rows, labels)
        finally:
            miner.reset_idx()


class LevelEmbedders(nn.Module):
    """Each level's embedder on its own output of the trunk (their names are those of powerful-benchmarker)."""

    def __init__(self, embedders: Sequence[nn.Module], layers: Sequence[str]) -> None:
        super().__init__()
        self.list_of_models = nn.ModuleList(embedders)
        self.layers = tuple(layers)

    def forward(self, outputs: Outputs) -> list[Tensor]:
        """The levels' embeddings, each B x its size."""
        return [embedder(outputs[layer]) for embedder, layer in zip(self.list_of_models, self.layers, strict=True)]


def _levels(config: ExperimentConfig) -> int:
    """The number of levels. Raises UserError for a loss of another name, a level without one, other many layers."""
    found = {name: _LOSS.fullmatch(name) for name in config.loss_funcs}
    for name, match in found.items():
        if match is None:
            what = (
                f"{config.trainer.name} has losses called metric_loss_0, ..., {CLASSIFIER_LOSS}_0, ... by their level."
            )
            near = nearest(name, ["metric_loss_0", f"{CLASSIFIER_LOSS}_0"])
            raise UserError(
                f"{what} --config_loss_and_miners [default, with_cascaded] has two.",
                where=f"loss_funcs/{name}",
                near=near,
            )
    numbers = {int(match[1]) for match in found.values() if match}
    levels = max(numbers) + 1
    if missing := sorted(set(range(levels)) - numbers):
        raise UserError(f"level {missing[0]} of the cascade has no loss.", where="loss_funcs")
    if config.layers_to_extract and len(config.layers_to_extract) != levels:
        what = f"there are losses for {levels} levels, but {len(config.layers_to_extract)} layers."
        raise UserError(what, where="layers_to_extract")
    return levels


def _shared(spec: ClassSpec, levels: int) -> ClassSpec:
    """The embedder with a level's share of its last size. Raises UserError if it cannot be shared."""
    args: Mapping[str, Any] = thaw(spec.args)
    sizes = args.get("layer_sizes")
    if spec.name != "MLP" or not isinstance(sizes, list) or not sizes or sizes[-1] % levels:
        what = f"share_embedding_size needs an MLP whose last size is a multiple of the {levels} levels."
        raise UserError(what, where=f"models/embedder/{spec.name}")
    return ClassSpec.model_validate({spec.name: {**args, "layer_sizes": [*sizes[:-1], sizes[-1] // levels]}})


def _modules(parts: Mapping[str, Any]) -> dict[str, nn.Module]:
    return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
