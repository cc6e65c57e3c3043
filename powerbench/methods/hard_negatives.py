"""Synthetic hard negatives, as DeepAdversarialMetricLearning has them: what makes them, and their losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerbench.classes import build
from powerbench.config.schema import ClassSpec, ExperimentConfig, thaw
from powerbench.errors import UserError, nearest
from powerbench.methods.checking import (
    CLASSIFIER,
    CLASSIFIER_LOSS,
    check_names,
    own_miners,
    refuse_unsuitable,
    require_loss,
    require_model,
)
from powerbench.methods.metric_losses import build_losses, in_full_precision, output_size
from powerbench.methods.triplets import Triplets, loss_with_synthetic
from powerbench.models.building import build_head

GENERATOR, SYNTH, ADVERSARIAL, HARD, REGULAR = "generator", "synth_loss", "g_adv_loss", "g_hard_loss", "g_reg_loss"
SEPARATE, JOINT = "adversarial", "powerful_benchmarker"
WITH_DAML = "[default, with_daml] of config_models, config_loss_and_miners and config_optimizers"
_AT_LEAST = {"metric_alone_epochs": 0, "g_alone_epochs": 0, "g_triplets_per_anchor": 1}


class HardNegatives:
    """The generator (features of triplets, 3 x width, to width) with its losses, and the metric's loss of its work.

    normalized: the generator's squared distances are those of L2-normalised features, divided by the width.
    """

    def __init__(self, config: ExperimentConfig, classes: int, width: int, size: int, *, normalized: bool) -> None:
        self.generator = build_generator((config.models.__pydantic_extra__ or {})[GENERATOR], width)
        self.synth_loss = build_losses(config, classes, size, [SYNTH])[SYNTH]
        self.adversarial_loss = build("loss", _with_negative_margin(config.loss_funcs[ADVERSARIAL]))
        self.normalized = normalized
        _try(self.synth_loss, size)

    def modules(self) -> dict[str, nn.Module]:
        """Generator and losses by name."""
        return {GENERATOR: self.generator, SYNTH: self.synth_loss, ADVERSARIAL: self.adversarial_loss}

    def generated(self, features: Tensor, triplets: Triplets) -> Tensor:
        """The features (T x width) of the triplets' synthetic negatives, from those of the batch (B x width)."""
        made: Tensor = self.generator(torch.cat([features[places] for places in triplets], dim=1))
        return made

    def losses_of_generator(
        self,
        embedder: nn.Module,
        features: Tensor,
        embeddings: Tensor,
        labels: Tensor,
        triplets: Triplets,
        synthetic: Tensor,
    ) -> dict[str, Tensor]:
        """What the generator minimises: its synthetic negatives against the batch's features and embeddings."""
        found = embedder(synthetic)
        with in_full_precision(embeddings):
            made, real = synthetic.float(), features.float()
            return {
                HARD: self._distance(made, real[triplets.anchor]),
                REGULAR: self._distance(made, real[triplets.negative]),
                ADVERSARIAL: loss_with_synthetic(
                    self.adversarial_loss, embeddings, labels, triplets, found.float(), exchanged=True
                ),
            }

    def loss_of_metric(self, embeddings: Tensor, labels: Tensor, triplets: Triplets, synthetic: Tensor) -> Tensor:
        """``synth_loss`` of the triplets with the embeddings of synthetic negatives (T x D) in place of their own."""
        with in_full_precision(embeddings):
            return loss_with_synthetic(self.synth_loss, embeddings, labels, triplets, synthetic.float())

    def _distance(self, made: Tensor, real: Tensor) -> Tensor:
        if self.normalized:
            return F.mse_loss(F.normalize(made), F.normalize(real))
        return (made - real).square().sum(dim=1).mean()


def build_generator(spec: ClassSpec, width: int) -> nn.Module:
    """The generator for features of ``width`` dimensions.

    The sizes of an MLP are multiples of the width, the first of them 3 (its input), the last 1. Raises UserError for
    other sizes, and for a class that does not give ``width`` dimensions for 3 x ``width``.
    """
    where, args = f"models/{GENERATOR}/{spec.name}", thaw(spec.args)
    if spec.name == "MLP":
        sizes = args.get("layer_sizes")
        if not isinstance(sizes, list) or len(sizes) < 2 or (sizes[0], sizes[-1]) != (3, 1):
            what = "the generator's layer_sizes are multiples of the trunk's width: the first is 3, the last 1."
            raise UserError(f"{what} As in [3, 1, 1].", where=f"{where}/layer_sizes")
        args["layer_sizes"] = [size * width for size in sizes[1:-1]]
        spec = ClassSpec.model_validate({spec.name: args})
    generator = build_head(spec, 3 * width, width)
    if (size := output_size(generator, 3 * width)) != width:
        raise UserError(f"it gives {size} dimensions, but the trunk's features have {width}.", where=where)
    return generator


def check(config: ExperimentConfig, metric_losses: list[str]) -> None:
    """Raise UserError for a config that does not fit the method; ``metric_losses`` are those of the batch alone."""
    refuse_unsuitable(SYNTH, require_loss(config, SYNTH, WITH_DAML))
    adversarial = require_loss(config, ADVERSARIAL, WITH_DAML)
    if adversarial.name != "TripletMarginLoss" or adversarial.args.get("swap"):
        what = f"{ADVERSARIAL} is a TripletMarginLoss (without swap): its positives and negatives are exchanged."
        raise UserError(what, where=f"loss_funcs/{ADVERSARIAL}")
    require_model(config, GENERATOR, WITH_DAML)
    further, models = [HARD, REGULAR], [GENERATOR, CLASSIFIER]
    if not metric_losses and CLASSIFIER_LOSS not in config.loss_funcs:
        raise UserError("the metric needs a loss of its own, such as metric_loss.", where="loss_funcs")
    for name in further:
        if name in metric_losses:
            raise UserError(f"{name} is a loss of the generator; call yours differently.", where=f"loss_funcs/{name}")
    check_names(config, metric_losses, miners=own_miners(metric_losses), models=models, further_losses=further)
    _check_arguments(config)


def _check_arguments(config: ExperimentConfig) -> None:
    where, args = f"trainer/{config.trainer.name}", config.trainer.args
    for name, least in _AT_LEAST.items():
        value = args.get(name, least)
        if type(value) is not int or value < least:
            raise UserError(f"{name} is a whole number of at least {least}, not {value!r}.", where=f"{where}/{name}")
    variants, variant = (SEPARATE, JOINT), args.get("variant", SEPARATE)
    if variant not in variants:
        what = f"there is no variant {variant!r}; there are {' and '.join(variants)}."
        raise UserError(what, where=f"{where}/variant", near=nearest(str(variant), variants))


def _with_negative_margin(spec: ClassSpec) -> ClassSpec:
    """The loss that, with positives and negatives exchanged, asks for synthetic negatives nearer than positives."""
    margin = spec.args.get("margin", 0.05)  # the library's default
    return ClassSpec.model_validate({spec.name: {**thaw(spec.args), "margin": -margin}})


def _try(loss: nn.Module, size: int) -> None:
    """Raise UserError if a loss does not take triplets whose negatives are not in the batch."""
    rows, labels = torch.eye(3, size), torch.tensor([0, 0])
    one = Triplets(*(torch.tensor([place]) for place in (0, 1, 1)))
    try:
        loss_with_synthetic(loss, rows[:2], labels, one, rows[2:])
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        what = f"{type(loss).__name__} does not take triplets with synthetic negatives: {error}"
        raise UserError(what, where=f"loss_funcs/{SYNTH}") from error
