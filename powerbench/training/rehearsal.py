"""A fold run built but not trained: what is wrong with trunk, image size, method or optimisers shows here."""

from __future__ import annotations

from powerbench.config.schema import ExperimentConfig
from powerbench.evaluation.opening import open_data, open_fold_run
from powerbench.jobs import Places
from powerbench.training.optimizers import Optimizers


def rehearse(config: ExperimentConfig, places: Places) -> None:
    """Build the first fold run with its optimisers; raises UserError for what training would raise at its start.

    A frozen trunk's features are not computed: its images go through the trunk once instead.
    """
    unfrozen = config.model_copy(update={"freeze_trunk": False})
    with open_fold_run(unfrozen, places, open_data(config, places), 0, seed=0) as run:
        parameters = run.trained_parameters()
        if config.freeze_trunk:
            parameters.pop("trunk", None)
        Optimizers(config, parameters, run.model.device)
