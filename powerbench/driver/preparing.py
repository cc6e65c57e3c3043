"""Everything about an experiment that can be known, and be wrong, before anything is written or trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbench.config.about_method import AboutMethod
from powerbench.config.check import check
from powerbench.config.legacy import without_effect
from powerbench.config.merged import MergedConfig
from powerbench.config.schema import thaw
from powerbench.config.search_keys import fill, first_values, search_keys
from powerbench.config.typed import typed
from powerbench.driver.user_code import adopt, located
from powerbench.errors import UserError
from powerbench.plan import Budget, Plan
from powerbench.protocol import fingerprint, protocol_of, refuse_searched_conditions
from powerbench.roots import Roots
from powerbench.search.given import given_points
from powerbench.search.space import Space, space_of

if TYPE_CHECKING:
    from powerbench.config.schema import ExperimentConfig
    from powerbench.datasets.contract import Dataset
    from split_managers.contract import Fold

GIVEN = "given"
"""The strategy that the store names for a trial of ``first_trials``."""


@dataclass(frozen=True)
class Data:
    """What the protocol records of the data: checksums, the names of the folds, and of images that are left out.

    ``counts`` says for people what was found: the layout, and how many images and classes there are.
    """

    checksum: str
    fold_names: tuple[str, ...]
    split_checksums: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    counts: str = ""


@dataclass(frozen=True)
class Prepared:
    """A checked config, what it searches, and the data and weights it stands on.

    ``merged`` names the user's own files by hash (see :mod:`powerbench.driver.user_code`); ``user_files``
    are those to copy. ``config`` has the lower bounds in place of searched parameters. ``first_trials`` are those
    that the user gave. ``data`` is ``None`` if they were not asked for. ``about`` is what the method says.
    ``search_version``: of the search, if an earlier release completed it.
    """

    merged: MergedConfig
    config: ExperimentConfig
    space: Space
    budget: Budget
    first_trials: tuple[dict[str, Any], ...]
    user_files: Mapping[str, Path]
    data: Data | None = None
    weights: str = "unknown"
    about: AboutMethod = field(default_factory=AboutMethod)
    search_version: int | None = None

    @cached_property
    def protocol(self) -> dict[str, Any]:
        """What must be equal for a comparison."""
        return protocol_of(
            self.config,
            self.budget,
            dataset_checksum=self.data.checksum if self.data else None,
            split_checksums=self.data.split_checksums if self.data else (),
            weights=self.weights,
            searched={parameter.path: thaw(asdict(parameter)) for parameter in self.space.parameters},
            skipped=self.data.skipped if self.data else None,
            grid_size=self.space.grid_size if self.config.search_strategy == "grid" else None,
            joined_embedders=self.about.joined_embedders,
            search_version=self.search_version,
        )

    @property
    def fingerprint(self) -> str:
        """The hash of the protocol."""
        return fingerprint(self.protocol)

    @property
    def planned_search_trials(self) -> int:
        """Search trials to run in all: a grid ends when it is complete."""
        return self.space.planned(self.config.search_strategy, self.budget.trials)

    @property
    def planned_trials(self) -> int:
        """Trials of every kind."""
        repeated = self.budget.repeats is not None
        return self.planned_search_trials + repeated + len(self.budget.reproductions) + self.budget.single

    @property
    def plan(self) -> Plan:
        """What will be trained."""
        folds = len(self.data.fold_names) if self.data else _planned_folds(self.config)
        return Plan(self.planned_trials, folds, self.config.num_epochs_train, self.config.trainer.iterations_per_epoch)

    @property
    def notes(self) -> list[str]:
        """What the user should know of the config: keys without effect, files taken instead of missing ones."""
        idle = ["first_trials has no effect without a search."] if self.config.first_trials else []
        skipped = self.data.skipped if self.data else ()
        more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        left_out = (
            [f"{len(skipped)} unreadable images are left out: {', '.join(skipped[:5])}{more}."] if skipped else []
        )
        ignored = [*without_effect(self.merged), *self.about.remarks]
        return [*self.merged.notes, *ignored, *([] if self.budget.trials else idle), *left_out]

    def rehearse(self, roots: Roots, user_code: Path) -> None:
        """Build a fold run without training it; raises :class:`UserError` for what would stop the training."""
        from powerbench.training.rehearsal import rehearse

        rehearse(at_present_places(self.config, user_code, self.user_files), roots.places)

    def config_for(self, parameters: Mapping[str, Any], user_code: Path) -> dict[str, Any]:
        """The plain config of one trial, as a job carries it."""
        plain = typed(fill(self.merged, parameters), self.merged).plain()
        located_config: dict[str, Any] = located(plain, user_code)
        return located_config


def prepare(
    merged: MergedConfig, budget: Budget, roots: Roots, *, user_code: Path | None = None, with_data: bool = True
) -> Prepared:
    """Check a merged config against the libraries, the data and the weights; write nothing.

    Raises a :class:`UserError` for whatever is wrong.
    """
    outlined = outline(merged, budget, user_code=user_code)
    runnable = at_present_places(outlined.config, user_code, outlined.user_files)
    checked = replace(outlined, about=check(runnable, outlined.merged))
    if not with_data:
        return checked
    return replace(checked, data=_open_data(runnable, roots), weights=_weights(runnable, roots))


def outline(merged: MergedConfig, budget: Budget, *, user_code: Path | None = None) -> Prepared:
    """What follows from a merged config and a budget alone; no library is imported, no data or weights opened."""
    adopted, files = adopt(merged.categories, user_code)
    merged = merged.with_categories(adopted)
    searched = search_keys(merged)
    refuse_searched_conditions({key.path: merged.where(key.keys) for key in searched})
    space = space_of(searched)
    config = typed(fill(merged, first_values(merged)), merged)
    _check_budget(config, budget, space)
    given = given_points(space, config.first_trials, where=merged.where("first_trials")) if budget.trials else ()
    if len(given) > budget.trials:
        raise UserError(
            f"there are {len(given)} first trials, but the search has {budget.trials} trials, which include them.",
            where=merged.where("first_trials"),
        )
    return Prepared(merged, config, space, budget, given, files)


def at_present_places(config: ExperimentConfig, user_code: Path | None, files: Mapping[str, Path]) -> ExperimentConfig:
    """The config with the user's own files at their present places."""
    return type(config).from_plain(located(config.plain(), user_code or Path(), files))


def _check_budget(config: ExperimentConfig, budget: Budget, space: Space) -> None:
    if budget.trials and not space.parameters:
        raise UserError(
            "--bayes_opt_iters asks for a search, but no parameter of the config is searched. Mark one, for example "
            "--loss_funcs {metric_loss: {ContrastiveLoss: {neg_margin~BAYESIAN~: [0, 1]}}}, or leave the flag out."
        )
    if space.parameters and not budget.trials:
        names = ", ".join(parameter.path for parameter in space.parameters)
        raise UserError(f"the config searches {names}: say how long with --bayes_opt_iters N, or give fixed values.")
    if budget.trials and config.search_strategy == "grid":
        space.grid_size  # noqa: B018 (raises unless the space is a grid)
        if config.first_trials:
            raise UserError("a grid is tried from its first point to its last: leave out first_trials.")


def _open_data(config: ExperimentConfig, roots: Roots) -> Data:
    from powerbench.datasets.checking import refuse_unreadable
    from powerbench.datasets.opening import open_dataset, open_folds

    dataset = open_dataset(config, roots.places)
    folds = open_folds(config, dataset)
    refuse_unreadable(dataset, roots.places.cache_dir)
    names, checksums = tuple(fold.name for fold in folds), tuple(fold.checksum() for fold in folds)
    return Data(dataset.checksum, names, checksums, getattr(dataset, "skipped", ()), _counts(config, dataset, folds[0]))


def _counts(config: ExperimentConfig, dataset: Dataset, fold: Fold) -> str:
    """``Cars196 (annotation file): 16185 images of 196 classes; first fold: train 6039, val 2015, test 8131``."""
    layout = getattr(dataset, "layout", "").partition(" in ")[0]
    parts = {"train": len(fold.train), "val": len(fold.val)}
    parts |= {name: len(test.items()) for name, test in fold.tests.items()}
    name = config.dataset.name.rpartition(":")[2]
    name += f" ({layout})" if layout else ""
    found = f"{len(dataset.index)} images of {len(set(dataset.index.labels[:, 0].tolist()))} classes"
    return f"{name}: {found}; first fold: {', '.join(f'{part} {count}' for part, count in parts.items())}"


def _planned_folds(config: ExperimentConfig) -> int:
    """How many folds the split manager will make, as far as that can be known without the data."""
    from powerbench.class_folders import own_names
    from powerbench.classes import build

    spec = config.split_manager
    count = build("split_manager", spec).fold_count if spec.name in own_names("split_manager") else None
    return int(count or spec.args.get("num_training_sets", 4))


def _weights(config: ExperimentConfig, roots: Roots) -> str:
    from powerbench.models.building import weights_identity

    return weights_identity(config, roots.places)
