import numpy as np
import pytest
import torch

from powerbench.errors import UserError
from powerbench.methods.contract import Batch
from powerbench.methods.triplets import random_triplets
from powerbench.seeding import seeded
from tests.methods.building_methods import LABELS, WIDTH, features, method_of, updates_of
from tests.methods.other_methods import ADAM, OPTIMIZERS, TRIPLET, adversarial

BOTH = 3
"""An epoch in which both sides are trained."""


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def averaged(terms):
    """The mean of those above zero, as the library's triplet loss has it."""
    above = [term for term in terms if term > 0]
    return float(np.mean(above)) if above else 0.0


def naive(method, triplets, *, normalized):
    """All losses of the definition, triplet by triplet, in float64."""
    modules = {name: part.double() for name, part in method.modules.items()}
    rows = features().double()
    embedded = unit(modules["embedder"](rows).detach().numpy())
    terms = {name: [] for name in ("synth_loss", "g_adv_loss", "g_hard_loss", "g_reg_loss")}
    for anchor, positive, negative in zip(*(places.tolist() for places in triplets), strict=True):
        together = torch.cat([rows[anchor], rows[positive], rows[negative]])[None]
        made = modules["generator"](together).detach()
        f_made = unit(modules["embedder"](made).detach().numpy())[0]
        near = np.linalg.norm(embedded[anchor] - embedded[positive])
        far = np.linalg.norm(embedded[anchor] - f_made)
        terms["synth_loss"].append(max(0.0, near - far + 0.1))
        terms["g_adv_loss"].append(max(0.0, far - near - 0.1))
        for name, place in (("g_hard_loss", anchor), ("g_reg_loss", negative)):
            s, x = made.numpy(), rows[place][None].numpy()
            terms[name].append(np.mean((unit(s) - unit(x)) ** 2) if normalized else np.sum((s - x) ** 2))
    means = {name: float(np.mean(values)) for name, values in terms.items() if name in ("g_hard_loss", "g_reg_loss")}
    return {**means, **{name: averaged(terms[name]) for name in ("synth_loss", "g_adv_loss")}}


@pytest.mark.parametrize("variant", ["adversarial", "powerful_benchmarker"])
def test_the_losses_are_those_of_the_definition(variant):
    method = method_of(**adversarial({"variant": variant}))
    with seeded(5):
        updates = updates_of(method, {"pooled": features()}, epoch=BOTH)
    with seeded(5):
        triplets = random_triplets(LABELS, 5)
    found = {name: loss.item() for update in updates for name, loss in update.losses.items()}
    expected = naive(method, triplets, normalized=variant == "powerful_benchmarker")
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert min(expected.values()) > 0


def moved(method, update):
    """The modules that an update's losses give gradients to, and the trunk."""
    rows = update["rows"]
    for parameter in method.modules.parameters():
        parameter.grad = None
    rows.grad = None
    sum(update["update"].losses.values()).backward(retain_graph=True)
    found = {name for name, group in method.param_groups().items() if any(p.grad is not None for p in group)}
    return found | ({"trunk"} if rows.grad is not None else set())


def all_moved(variant, epoch):
    method, rows = method_of(**adversarial({"variant": variant})), features().requires_grad_()
    updates = updates_of(method, {"pooled": rows}, epoch=epoch)
    return [(update.optimizers, moved(method, {"rows": rows, "update": update})) for update in updates]


def test_each_side_steps_on_its_own_losses():
    generator, metric = all_moved("adversarial", BOTH)
    assert generator[0] == ("generator",)
    assert "trunk" not in generator[1]
    assert metric == (None, {"trunk", "embedder"})  # no gradient reaches the generator, so it does not step


def test_the_published_variant_moves_everything_by_the_sum():
    (both,) = all_moved("powerful_benchmarker", BOTH)
    assert both == (None, {"trunk", "embedder", "generator"})


@pytest.mark.parametrize("variant", ["adversarial", "powerful_benchmarker"])
def test_alone_a_side_moves_only_itself(variant):
    assert all_moved(variant, 1) == [(None, {"trunk", "embedder"})]
    ((optimizers, reached),) = all_moved(variant, 2)
    assert optimizers == ("generator",)
    assert "trunk" not in reached


def test_a_batch_without_triplets_trains_the_metric_only():
    method = method_of(**adversarial(sampler={"MPerClassSampler": {"m": 1}}))
    outputs = {"pooled": features()[::4]}
    batch = Batch(torch.arange(4), LABELS[::4], (), "", BOTH, 0)
    (update,) = method.losses(batch, [outputs])
    assert list(update.losses) == ["metric_loss"]


def test_a_classifier_belongs_to_the_metric():
    changes = adversarial()
    changes["models"] = {**changes["models"], "classifier": {"MLP": {"layer_sizes": []}}}
    changes["loss_funcs"] = {**changes["loss_funcs"], "classifier_loss": "CrossEntropyLoss"}
    changes["optimizers"] = {**changes["optimizers"], "classifier_optimizer": ADAM}
    method = method_of(**changes)
    generator, metric = updates_of(method, {"pooled": features()}, epoch=BOTH)
    assert list(metric.losses) == ["metric_loss", "classifier_loss", "synth_loss"]
    assert list(generator.losses) == ["g_hard_loss", "g_reg_loss", "g_adv_loss"]
    assert method.modules["generator"].net[-1].out_features == WIDTH


def with_losses(**losses):
    return {"loss_funcs": {"metric_loss": "ContrastiveLoss", "synth_loss": TRIPLET, "g_adv_loss": TRIPLET, **losses}}


MODELS = adversarial()["models"]
MISTAKES = {
    "no generator": ({"models": {**MODELS, "generator": None}}, "needs a model called generator.*with_daml"),
    "no optimiser": ({"optimizers": OPTIMIZERS}, "there is no generator_optimizer"),
    "no synthetic loss": (
        with_losses(synth_loss=None, sinth_loss=TRIPLET),
        "called synth_loss.*Did you mean sinth_loss",
    ),
    "another adversarial loss": (with_losses(g_adv_loss="ContrastiveLoss"), "g_adv_loss is a TripletMarginLoss"),
    "a synthetic loss that takes no triplets": (
        with_losses(synth_loss="FastAPLoss"),
        "FastAPLoss does not take triplets",
    ),
    "sizes that do not fit": (
        {"models": {**MODELS, "generator": {"MLP": {"layer_sizes": [2, 1]}}}},
        r"the first is 3, the last 1. As in \[3, 1, 1\]",
    ),
    "a miner of triplets": ({"mining_funcs": {"synth_loss_miner": "BatchHardMiner"}}, "has miners called"),
}
SETTINGS = {
    "a variant": ({"variant": "adverserial"}, "Did you mean adversarial"),
    "a number": ({"g_triplets_per_anchor": 0}, "at least 1"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_refused(case):
    changes, text = MISTAKES[case]
    whole = {key: {name: spec for name, spec in value.items() if spec} for key, value in changes.items()}
    with pytest.raises(UserError, match=text):
        method_of(**adversarial(**whole))


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_are_refused(case):
    settings, text = SETTINGS[case]
    with pytest.raises(UserError, match=text):
        method_of(**adversarial(settings))


def test_a_weight_of_no_loss_is_refused():
    changes = adversarial()
    changes["trainer"] = {"DeepAdversarialMetricLearning": {"loss_weights": {"g_hard_los": 1.0}}}
    with pytest.raises(UserError, match="Did you mean g_hard_loss"):
        method_of(**changes)


def test_losses_that_do_not_fit_are_refused():
    whole = adversarial()["loss_funcs"]
    alone = {name: loss for name, loss in whole.items() if name != "metric_loss"}
    for losses, told in (({**whole, "g_hard_loss": TRIPLET}, "a loss of the generator"), (alone, "a loss of its own")):
        with pytest.raises(UserError, match=told):
            method_of(**adversarial(loss_funcs=losses))
