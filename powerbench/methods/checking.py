"""What methods refuse in a config, with the nearest valid names, before anything is built."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from powerbench.config.schema import ClassSpec, ExperimentConfig
from powerbench.errors import UserError, nearest

WITHOUT_LABELS = ("ManifoldLoss", "SelfSupervisedLoss", "VICRegLoss")
"""Losses of the library that take no labels, or a second batch in their place."""

ON_SCORES = ("CrossEntropyLoss", "MultiMarginLoss")
"""Losses of torch on the scores that a classifier gives to each class."""

SUBSET_MINER, SHARED_MINER = "subset_batch_miner", "tuple_miner"
CLASSIFIER, CLASSIFIER_LOSS = "classifier", "classifier_loss"

OF_CLASSIFIER = (
    "--config_models [default, with_classifier] --config_loss_and_miners [default, with_classifier] "
    "--config_optimizers [default, with_classifier]"
)


def own_miners(losses: Sequence[str]) -> list[str]:
    """The names that miners may have, where each loss may have one of its own."""
    return [SHARED_MINER, SUBSET_MINER, *(f"{name}_miner" for name in losses)]


def check_names(
    config: ExperimentConfig,
    metric_losses: Sequence[str],
    *,
    miners: Sequence[str],
    models: Sequence[str] = (),
    further_losses: Sequence[str] = (),
) -> None:
    """Raise UserError for a miner, a model or a weight of another name, and for a loss named like another module.

    ``metric_losses`` must compare embeddings. ``models``: beside trunk and embedder. ``further_losses`` are weighed,
    but do not stand in ``loss_funcs``.
    """
    for name in metric_losses:
        refuse_unsuitable(name, config.loss_funcs[name])
    method, losses = config.trainer.name, [*config.loss_funcs, *further_losses]
    for name in config.mining_funcs:
        _refuse_unknown(name, miners, f"mining_funcs/{name}", f"{method} has miners called {', '.join(miners)}")
    for name in config.trainer.loss_weights or {}:
        where = f"trainer/{method}/loss_weights/{name}"
        _refuse_unknown(name, losses, where, f"there is no loss {name!r} to weigh (there are {', '.join(losses)})")
    for name in config.models.__pydantic_extra__ or {}:
        beside = ", ".join(("trunk", "embedder", *models))
        _refuse_unknown(name, models, f"models/{name}", f"{method} has no model {name!r} (it has {beside})")
    for name in config.loss_funcs:
        if name in ("trunk", "embedder", *models, *config.mining_funcs):
            raise UserError(f"{name!r} is the name of another module.", where=f"loss_funcs/{name}")


def refuse_unsuitable(name: str, spec: ClassSpec) -> None:
    """Raise UserError for a loss that does not compare embeddings by their labels."""
    if spec.name in WITHOUT_LABELS:
        raise UserError(f"{spec.name} does not learn from labels, as this method does.", where=f"loss_funcs/{name}")
    if spec.name in ON_SCORES:
        raise UserError(
            f"{spec.name} compares the scores of classes: it is the {CLASSIFIER_LOSS} of a method with a classifier "
            f"(--config_general [default, with_classifier] {OF_CLASSIFIER}).",
            where=f"loss_funcs/{name}",
        )


def idle_layers(config: ExperimentConfig) -> tuple[str, ...]:
    """The remark of a method that uses the trunk's pooled features only."""
    if not config.layers_to_extract:
        return ()
    return (f"layers_to_extract has no effect: {config.trainer.name} uses the trunk's pooled features.",)


def require_loss(config: ExperimentConfig, name: str, configs: str) -> ClassSpec:
    """The loss of that name. Raises UserError if there is none; ``configs``: what on the command line adds it."""
    if name not in config.loss_funcs:
        what = f"{config.trainer.name} needs a loss called {name}; {configs} has one."
        raise UserError(what, where="loss_funcs", near=nearest(name, config.loss_funcs))
    return config.loss_funcs[name]


def require_model(config: ExperimentConfig, name: str, configs: str) -> ClassSpec:
    """The model of that name, which is trained by an optimiser of its own. Raises UserError if either is missing."""
    models = config.models.__pydantic_extra__ or {}
    if name not in models:
        what = f"{config.trainer.name} needs a model called {name}; {configs} has one."
        raise UserError(what, where="models", near=nearest(name, models))
    if f"{name}_optimizer" not in config.optimizers:
        what = f"{name} has weights to train, but there is no {name}_optimizer; {configs} has one."
        raise UserError(what, where="optimizers", near=nearest(f"{name}_optimizer", config.optimizers))
    return models[name]


def _refuse_unknown(name: str, valid: Collection[str], where: str, what: str) -> None:
    if name not in valid:
        raise UserError(f"{what}.", where=where, near=nearest(name, valid))
