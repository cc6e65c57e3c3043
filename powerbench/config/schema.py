"""The merged config as a typed, frozen object.

Keys keep the names of powerful-benchmarker, the tool of "A Metric Learning Reality Check".
A class with its arguments is written ``{Name: {argument: value}}`` (``{Name: null}`` and plain
``Name`` are the same as ``{Name: {}}``). Whether a class exists and takes its arguments is
checked in :mod:`powerbench.config.check`, which may import the libraries that define it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_serializer, model_validator

from powerbench.config.values import (
    ClassSpec,
    EpochsOfFolds,
    Frozen,
    Frozens,
    Named,
    Names,
    Recipe,
    Settings,
    Specs,
    Weights,
    freeze,
    thaw,
)
from powerbench.errors import UserError, nearest

__all__ = ["ClassSpec", "ExperimentConfig", "Trainer", "freeze", "thaw"]

AUGMENTATION = "augmentation"
"""What the names of the recipes of a method's views begin with; their number follows."""


class AccuracyCalculator(Named):
    """Accepted for old configs, with any settings; the metrics measured are those of ``evaluation_metrics``."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class GlobalEmbeddingSpaceTester(Named):
    """How embeddings are measured: all items of a split against each other."""

    reference_set: Literal["compared_to_self"] = "compared_to_self"
    normalize_embeddings: bool = True
    use_trunk_output: bool = False
    batch_size: int = Field(32, ge=1)
    dataloader_num_workers: int = Field(2, ge=0)
    pca: int | None = Field(None, ge=1)
    accuracy_calculator: AccuracyCalculator = Field(default_factory=AccuracyCalculator.model_construct)
    label_hierarchy_level: int = Field(0, ge=0)
    visualizer: Frozen = Field(default_factory=lambda: freeze({}))


class MeanAggregator(Named):
    """The mean over the separately measured models of the folds."""

    split_to_aggregate: str = "val"


class ConcatenateEmbeddings(Named):
    """The ensemble: the folds' embeddings, each normalised, joined."""

    normalize_embeddings: bool = True
    use_trunk_output: bool = False


class HookContainer(Named):
    """Which metric on which split chooses the epoch and the trial."""

    primary_metric: str = "map_at_r"
    validation_split_name: Literal["val"] = "val"
    save_models: bool = True


class Clustering(Settings):
    """The k-means behind ``nmi``, ``ami`` and ``f1``: ``runs`` of them, with seeds of their own.

    clusters: None for as many as there are classes. iterations: of each start; restarts: starts, the best of which
    counts.
    """

    clusters: int | None = Field(None, ge=1)
    iterations: int = Field(20, ge=1)
    restarts: int = Field(1, ge=1)
    runs: int = Field(5, ge=1)


class Trainer(Settings):
    """The method (``name``), what every method is trained with, and the method's own ``args``."""

    name: str = "MetricLossOnly"
    iterations_per_epoch: int = Field(100, ge=1)
    dataloader_num_workers: int = Field(2, ge=0)
    batch_size: int = Field(32, ge=1)
    freeze_trunk_batchnorm: bool = True
    label_hierarchy_level: int = Field(0, ge=0)
    loss_weights: Weights = None
    set_min_label_to_zero: bool = True
    args: Frozen = Field(default_factory=lambda: freeze({}))

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        spec = ClassSpec.model_validate(value)
        common = {key: thaw(item) for key, item in spec.args.items() if key in cls.model_fields and key != "args"}
        own = {key: item for key, item in spec.args.items() if key not in common}
        return {"name": spec.name, **common, "args": own}

    @model_serializer(mode="wrap")
    def _to_yaml(self, handler: Any) -> dict[str, Any]:
        plain = handler(self)
        name, args = plain.pop("name"), plain.pop("args")
        return {name: {**plain, **args}}


class Models(Settings):
    """The trunk (images to features) and the embedder (features to embeddings), and a method's further models."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[str, ClassSpec]

    trunk: ClassSpec
    embedder: ClassSpec


class Transforms(Settings):
    """Image transforms in order. What the trunk needs (BGR, value range, normalisation) is appended by itself."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[str, Recipe]

    train: Recipe
    eval: Recipe

    def of_views(self) -> dict[str, Recipe]:
        """What training images are made with: ``augmentation1``, ``augmentation2``, ..., one a view; else ``train``."""
        further = self.__pydantic_extra__ or {}
        names = sorted((name for name in further if name.startswith(AUGMENTATION)), key=lambda name: (len(name), name))
        return {name: further[name] for name in names} or {"train": self.train}


class ExperimentConfig(Settings):
    """Everything that defines an experiment except its name, its budget and where files lie."""

    # config_dataset
    dataset: ClassSpec
    split_manager: ClassSpec
    splits_to_eval: Names = ("val",)
    skip_unreadable: bool = False
    # config_eval
    tester: GlobalEmbeddingSpaceTester
    aggregator: MeanAggregator
    ensemble: ConcatenateEmbeddings
    hook_container: HookContainer
    evaluation_metrics: Names = ("map_at_r", "precision_at_1", "r_precision")
    ties: Literal["pessimistic", "optimistic", "expected"] = "pessimistic"
    clustering: Clustering = Field(default_factory=lambda: Clustering.model_validate({}))
    # config_general
    trainer: Trainer
    num_epochs_train: int = Field(1000, ge=1)
    num_epochs_of_folds: EpochsOfFolds = Field(default_factory=lambda: MappingProxyType({}))
    save_interval: int = Field(2, ge=1)
    patience: int | None = Field(9, ge=0)
    check_untrained_accuracy: bool = True
    skip_eval_if_already_done: bool = True
    skip_ensemble_eval_if_already_done: bool = True
    seed: int = Field(0, ge=0)
    confidence: float = Field(0.95, gt=0, lt=1)
    include_best: bool = False
    search_strategy: Literal["ax", "sobol", "random", "grid"] = "ax"
    first_trials: Frozens = ()
    parallel_trials: int = Field(1, ge=1)
    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    channels_last: bool = True
    threads_per_run: int = Field(1, ge=1)
    ranking_backend: Literal["auto", "cpu", "torch", "faiss"] = "auto"
    checkpoint_seconds: float = Field(120.0, ge=0)
    augment_on: Literal["workers", "device"] = "workers"
    cache: bool = True
    cache_gigabytes: float = Field(32.0, ge=0)
    keep_weights: Literal["best_and_reproductions", "all", "none"] = "best_and_reproductions"
    # config_loss_and_miners
    loss_funcs: Annotated[Specs, Field(min_length=1)]
    sampler: ClassSpec
    mining_funcs: Specs = Field(default_factory=lambda: MappingProxyType({}))
    # config_models
    models: Models
    freeze_trunk: bool = False
    layers_to_extract: Names = ()
    # config_optimizers
    optimizers: Specs
    # config_transforms
    transforms: Transforms
    views: int | None = Field(None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _epochs_from_yaml(cls, value: Any) -> Any:
        """``num_epochs_train`` may be {fold or scheme: epochs}; the number is then the largest of them."""
        epochs = value.get("num_epochs_train") if isinstance(value, Mapping) else None
        numbers = list(epochs.values()) if isinstance(epochs, Mapping) else []
        if not numbers or not all(type(number) is int for number in numbers):
            return value
        return {**value, "num_epochs_train": max(numbers), "num_epochs_of_folds": epochs}

    @model_serializer(mode="wrap")
    def _to_yaml(self, handler: Any) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        of_folds = plain.pop("num_epochs_of_folds")
        if not self.layers_to_extract:  # which earlier versions did not write
            plain.pop("layers_to_extract")
        return {**plain, "num_epochs_train": of_folds} if of_folds else plain

    def epochs_of(self, fold_name: str) -> int:
        """How many epochs a fold is trained for at most: by its own name, by its scheme's, or for all folds.

        Raises UserError if ``num_epochs_train`` names other folds only.
        """
        if not self.num_epochs_of_folds:
            return self.num_epochs_train
        for name in (fold_name, fold_name.rpartition("_")[0]):
            if name in self.num_epochs_of_folds:
                return self.num_epochs_of_folds[name]
        near = nearest(fold_name, self.num_epochs_of_folds)
        raise UserError(f"there is no number of epochs for {fold_name}.", where="num_epochs_train", near=near)

    def plain(self) -> dict[str, Any]:
        """The config as dicts and lists, as the YAML files write it."""
        return self.model_dump(mode="json")

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The config that :meth:`plain` gave."""
        return cls.model_validate(thaw(plain))
