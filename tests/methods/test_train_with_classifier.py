import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import TripletMarginLoss

from powerbench.errors import UserError
from tests.methods.building_methods import CLASSES, LABELS, SIZE, features, method_of, updates_of
from tests.methods.other_methods import OPTIMIZERS, classified
from tests.methods.test_metric_loss_only import PARTS


def test_the_classifiers_loss_is_the_cross_entropy_of_its_scores():
    method = method_of(
        **classified(loss_funcs={"metric_loss": "TripletMarginLoss", "classifier_loss": "CrossEntropyLoss"})
    )
    (update,) = updates_of(method, {"pooled": features()})
    embeddings = method.modules["embedder"](features())
    hidden, last = (layer for layer in method.modules["classifier"].net if hasattr(layer, "weight"))
    points = embeddings.detach().double().numpy().clip(min=0)  # a ReLU stands before each layer but the last
    points = points @ hidden.weight.detach().double().numpy().T + hidden.bias.detach().double().numpy()
    scores = points @ last.weight.detach().double().numpy().T + last.bias.detach().double().numpy()
    assert scores.shape == (len(LABELS), CLASSES)
    right = [row[label] - np.log(np.exp(row).sum()) for row, label in zip(scores, LABELS, strict=True)]
    assert update.losses["classifier_loss"].item() == pytest.approx(-np.mean(right), rel=1e-5)
    assert torch.equal(update.losses["metric_loss"], TripletMarginLoss()(embeddings, LABELS))
    assert update.weights == {"classifier_loss": 0.5}
    assert update.optimizers is None
    assert set(method.param_groups()) == {"embedder", "classifier"}
    assert method.embeddings({"pooled": features()})["embedding"].shape[1] == SIZE


def test_a_classifier_may_train_alone():
    method = method_of(**classified(loss_funcs={"classifier_loss": "CrossEntropyLoss"}))
    (update,) = updates_of(method, {"pooled": features()})
    assert list(update.losses) == ["classifier_loss"]


def test_a_subset_miner_reduces_the_batch_for_both():
    method = method_of(**classified(mining_funcs={"subset_batch_miner": {f"{PARTS}:EverySecond": {}}}))
    seen = []
    method.modules["classifier"].register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    updates_of(method, {"pooled": features()})
    assert seen == [len(LABELS) // 2]


@pytest.mark.parametrize("models", [{}, {"classifier": {"MLP": {"layer_sizes": []}}}])
def test_without_its_loss_there_is_no_classifier_and_that_is_said(models):
    """As powerful-benchmarker's own with_classifier, and with_daml, have it."""
    changes = classified(loss_funcs={"metric_loss": "TripletMarginLoss"}, optimizers=OPTIMIZERS)
    changes["models"] = {**changes["models"], **models} if models else {**changes["models"], "classifier": "MLP"}
    changes["trainer"] = {"TrainWithClassifier": {}}
    if not models:
        changes["models"].pop("classifier")
    method = method_of(**changes)
    (update,) = updates_of(method, {"pooled": features()})
    assert list(update.losses) == ["metric_loss"]
    assert set(method.modules) == {"embedder", "metric_loss"}


MISTAKES = {
    "a loss without a model": (
        {"models": classified()["models"] | {"classifier": None}},
        "needs a model called classifier",
    ),
    "a model of another name": (
        {"models": classified()["models"] | {"clasifier": {"MLP": {}}}},
        "Did you mean classifier",
    ),
    "no optimiser": ({"optimizers": OPTIMIZERS}, "there is no classifier_optimizer.*with_classifier"),
    "a loss of embeddings": (
        {"loss_funcs": {"classifier_loss": "ContrastiveLoss"}},
        "CrossEntropyLoss, MultiMarginLoss",
    ),
    "a loss of scores among those of embeddings": (
        {"loss_funcs": {"metric_loss": "CrossEntropyLoss"}, "optimizers": OPTIMIZERS},
        "compares the scores of classes",
    ),
    "a miner of scores": ({"mining_funcs": {"classifier_loss_miner": "BatchHardMiner"}}, "has miners called"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_refused(case):
    changes, text = MISTAKES[case]
    models = {name: spec for name, spec in changes.get("models", classified()["models"]).items() if spec is not None}
    with pytest.raises(UserError, match=text):
        method_of(**classified(**{**changes, "models": models}))
