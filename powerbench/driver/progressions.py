"""Making a progression of distribution shift for the dataset and the trunk of a config."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from powerbench.errors import UserError
from split_managers.making_progressions import ProgressionRecipe, make_progression
from split_managers.progression import Progression

if TYPE_CHECKING:
    from powerbench.config.schema import ExperimentConfig
    from powerbench.datasets.contract import Dataset
    from powerbench.jobs import Places


def progression_of(config: ExperimentConfig, places: Places, recipe: ProgressionRecipe) -> Progression:
    """The progression of the config's dataset in the features of its trunk.

    It begins at the config's split: what the first fold trains and validates on, against its test. Features are
    pooled, not normalised, of the images as they are evaluated. Raises UserError for what cannot be done.
    """
    from powerbench.datasets.opening import open_dataset, open_folds

    dataset = open_dataset(config, places)
    fold = open_folds(config, dataset)[0]
    train = np.union1d(fold.train, fold.val)
    tests = np.unique(np.concatenate([test.items() for test in fold.tests.values()]))
    features, trunk = _features(config, places, dataset)
    try:
        made, _ = make_progression(dataset.index, features, train, tests, recipe)
    except ValueError as error:
        raise UserError(str(error)) from error
    origin = {"dataset": config.dataset.name, "dataset_checksum": dataset.checksum, "features": trunk}
    return replace(made, made={**origin, **made.made})


def _features(config: ExperimentConfig, places: Places, dataset: Dataset) -> tuple[np.ndarray, dict[str, Any]]:
    """Pooled features of all items, kept in the cache like those of any frozen trunk, and what they are of."""
    from powerbench.config.schema import Transforms
    from powerbench.data.inputs import open_inputs
    from powerbench.evaluation.model import choose_device, use_threads
    from powerbench.models.building import build_trunk
    from powerbench.seeding import seed_of

    use_threads(config.threads_per_run)
    same = Transforms.model_construct(train=config.transforms.eval, eval=config.transforms.eval)
    pooled = {"freeze_trunk": True, "views": None, "transforms": same, "layers_to_extract": ()}
    frozen = config.model_copy(update=pooled)
    trunk = build_trunk(frozen, places, seed=seed_of(run=config.seed, purpose="trunk"))
    opened = open_inputs(frozen, dataset, trunk, places, choose_device(frozen))
    (batch,) = next(opened.inputs.batches([np.arange(len(dataset.index))], part="eval"))
    plain = config.plain()
    about = {
        "trunk": plain["models"]["trunk"],
        "weights": trunk.weights_hash,
        "transforms": plain["transforms"]["eval"],
    }
    return batch.cpu().numpy(), about
