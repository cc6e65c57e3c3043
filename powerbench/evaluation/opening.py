"""Everything a fold run computes with: dataset, fold, inputs, trunk and method with their initial weights."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from torch import nn

from powerbench.config.schema import ExperimentConfig
from powerbench.data.inputs import Inputs, open_inputs
from powerbench.datasets.contract import Dataset
from powerbench.datasets.opening import open_dataset, open_folds
from powerbench.errors import UserError
from powerbench.evaluation.model import Model, choose_device
from powerbench.jobs import Places
from powerbench.methods.building import build_method, fold_facts
from powerbench.methods.contract import FoldFacts
from powerbench.models.building import build_trunk
from powerbench.seeding import seed_of
from split_managers.contract import Fold


@dataclass(frozen=True)
class Data:
    """An opened dataset and its folds."""

    dataset: Dataset
    folds: list[Fold]

    def fold(self, number: int) -> Fold:
        """A fold by number; UserError if there are fewer."""
        if not 0 <= number < len(self.folds):
            raise UserError(f"there is no fold {number}: the split has {len(self.folds)}.", where="split_manager")
        return self.folds[number]


@dataclass(frozen=True)
class FoldRun:
    """A fold run's inputs and its model with the initial weights that its seed gives."""

    data: Data
    fold: Fold
    inputs: Inputs
    model: Model
    facts: FoldFacts
    weights_hash: str
    trunk_identity: str

    def __enter__(self) -> FoldRun:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.inputs.close()

    @property
    def trained_modules(self) -> tuple[str, ...]:
        """Which of trunk and embedder training changes: those whose best weights are kept."""
        return ("embedder",) if self.model.frozen_trunk else ("trunk", "embedder")

    def trained_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Parameters to train, by the module that names their optimiser."""
        trunk = [] if self.model.frozen_trunk else [p for p in self.model.trunk.parameters() if p.requires_grad]
        return {**({"trunk": trunk} if trunk else {}), **self.model.method.param_groups()}

    def module(self, name: str) -> nn.Module:
        """Trunk or embedder."""
        return self.model.trunk if name == "trunk" else self.model.method.modules[name]


def open_data(config: ExperimentConfig, places: Places) -> Data:
    """The config's dataset, cut into folds."""
    dataset = open_dataset(config, places)
    return Data(dataset, open_folds(config, dataset))


def open_fold_run(config: ExperimentConfig, places: Places, data: Data, fold_number: int, seed: int) -> FoldRun:
    """A fold run as it is before the first training step."""
    fold, device = data.fold(fold_number), choose_device(config)
    trunk = build_trunk(config, places, seed=seed_of(run=seed, purpose="trunk"))
    weights_hash, identity = trunk.weights_hash, trunk.identity
    opened = open_inputs(config, data.dataset, trunk, places, device)
    facts = fold_facts(config, data.dataset.index, fold, opened.trunk.widths, seed)
    model = Model(
        trunk=opened.trunk,
        method=build_method(config, facts, opened.trunk, seed),
        device=device,
        precision=config.precision,
        channels_last=config.channels_last,
        frozen_trunk=config.freeze_trunk,
        frozen_batchnorm=config.trainer.freeze_trunk_batchnorm,
    )
    _refuse_other_views(config, model.method.needs.views)
    return FoldRun(data, fold, opened.inputs, model, facts, weights_hash, identity)


def _refuse_other_views(config: ExperimentConfig, views: int) -> None:
    recipes = config.transforms.of_views()
    if "train" not in recipes and len(recipes) != views:
        raise UserError(
            f"there are recipes for {len(recipes)} views ({', '.join(recipes)}), but {config.trainer.name} looks at "
            f"{'one' if views == 1 else views}. Without them, all views are made with transforms/train.",
            where="config_transforms: transforms",
        )
