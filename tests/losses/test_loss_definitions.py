"""Every loss of the Reality Check against its definition, computed naively in float64."""

import numpy as np
import pytest
import pytorch_metric_learning.losses as library
import torch
from pytorch_metric_learning.utils.loss_and_miner_utils import (
    convert_to_triplets,
    get_all_pairs_indices,
    get_all_triplets_indices,
)

from powerbench.classes import build
from powerbench.config.schema import ClassSpec
from powerbench.losses.triplets import as_triplets
from tests.reference import naive_losses as naive
from tests.reference.reality_check_facts import CLASSES
from tests.training.interrupting import same

SIZE, NUMBER_OF_CLASSES = 8, 5
RNG = np.random.default_rng(3)
LABELS = [0, 0, 0, 1, 1, 1, 3, 3, 3, 4]
ROWS = RNG.normal(size=(NUMBER_OF_CLASSES, SIZE))[LABELS] + 0.8 * RNG.normal(size=(len(LABELS), SIZE))
WEIGHTS = RNG.normal(size=(SIZE, NUMBER_OF_CLASSES))
CENTERS = RNG.normal(size=(SIZE, NUMBER_OF_CLASSES * 3))
BETA = RNG.uniform(0.5, 1.2, size=NUMBER_OF_CLASSES)

WITHOUT_WEIGHTS = [
    ("contrastive", {"pos_margin": -0.2, "neg_margin": 1.3}),
    ("contrastive", {"pos_margin": 0.4, "neg_margin": 0.9}),
    ("triplet", {"margin": 0.3}),
    ("triplet", {"margin": -0.2}),
    ("ntxent", {"temperature": 0.1}),
    ("ntxent", {"temperature": 0.004}),
    ("ntxent", {"temperature": 2.4e-4}),
    ("fastap", {"num_bins": 2}),
    ("fastap", {"num_bins": 17}),
    ("snr_contrastive", {"pos_margin": 0.3, "neg_margin": 0.8, "regularizer_weight": 0.4}),
    ("snr_contrastive", {"pos_margin": 0.2, "neg_margin": 1.9, "regularizer_weight": 0}),
    ("multi_similarity", {"alpha": 0.01, "beta": 50.6, "base": 0.56}),
    ("multi_similarity", {"alpha": 14.0, "beta": 75.0, "base": 0.0}),
]

WITH_WEIGHTS = [
    ("proxy_nca", {"softmax_scale": 14.0}, WEIGHTS),
    ("normalized_softmax", {"temperature": 0.1}, WEIGHTS),
    ("cosface", {"margin": 0.6, "scale": 30.0}, WEIGHTS),
    ("arcface", {"margin": 23.0, "scale": 30.0}, WEIGHTS),
    ("arcface", {"margin": 90.0, "scale": 5.0}, WEIGHTS),
    ("soft_triple", {"centers_per_class": 3, "la": 18.0, "gamma": 0.2, "reg_weight": 0.4, "margin": 0.3}, CENTERS),
    ("soft_triple", {"centers_per_class": 3, "la": 70.0, "gamma": 59.0, "reg_weight": 0.0, "margin": 0.9}, CENTERS),
]


def loss_of(method, arguments, **injected):
    return build("loss", ClassSpec.model_validate({CLASSES[method]: arguments}), **injected)


def computed(loss, chosen=None):
    labels = torch.tensor(LABELS)
    indices = (
        None if chosen is None else tuple(torch.tensor(side) for pair in chosen for side in zip(*pair, strict=True))
    )
    return float(loss(torch.tensor(ROWS), labels, indices).detach())


@pytest.mark.parametrize(("method", "arguments"), WITHOUT_WEIGHTS)
def test_losses_of_pairs_and_triplets(method, arguments):
    expected = getattr(naive, method)(ROWS, LABELS, **arguments)
    assert expected > 0.001
    assert computed(loss_of(method, arguments)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("method", "arguments", "weights"), WITH_WEIGHTS)
def test_losses_with_proxies_class_weights_or_centres(method, arguments, weights):
    loss = loss_of(method, arguments, num_classes=NUMBER_OF_CLASSES, embedding_size=SIZE)
    (parameter,) = loss.parameters()
    own = weights.T if method == "proxy_nca" else weights
    assert parameter.shape == own.shape
    parameter.data = torch.tensor(own)
    expected = getattr(naive, method)(ROWS, LABELS, own, **arguments)
    assert computed(loss) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("classes", [None, NUMBER_OF_CLASSES])
def test_the_margin_loss_with_one_boundary_and_with_one_for_each_class(classes):
    loss = loss_of("margin", {"margin": 0.1, "beta": 0.9, "learn_beta": True, "num_classes": classes})
    beta = np.full(NUMBER_OF_CLASSES, 0.9) if classes is None else BETA
    if classes is not None:
        loss.beta.data = torch.tensor(BETA)
    assert computed(loss) == pytest.approx(naive.margin(ROWS, LABELS, 0.1, beta), rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.05, 0.4, 1.0])
def test_multi_similarity_with_the_pairs_that_its_miner_chooses(epsilon):
    labels, rows = LABELS[:-1], ROWS[:-1]  # the miner's rule says nothing of an item without positives
    chosen = naive.mined_by_multi_similarity(rows, labels, epsilon)
    miner = build("miner", ClassSpec.model_validate({"MultiSimilarityMiner": {"epsilon": epsilon}}))
    embeddings = torch.tensor(rows)
    mined = miner(embeddings, torch.tensor(labels))
    found = [sorted(zip(mined[i].tolist(), mined[i + 1].tolist(), strict=True)) for i in (0, 2)]
    assert found == [sorted(side) for side in chosen]
    arguments = {"alpha": 18.0, "beta": 75.0, "base": 0.78}
    value = float(loss_of("multi_similarity", arguments)(embeddings, torch.tensor(labels), mined))
    assert value == pytest.approx(naive.multi_similarity(rows, labels, **arguments, chosen=chosen), rel=1e-9)


def test_ntxent_takes_chosen_pairs_and_anchors_without_negatives():
    near, far = naive.pairs(LABELS)
    chosen = near[::2], [pair for pair in far if pair[0] != near[0][0]][::3]
    expected = naive.ntxent(ROWS, LABELS, 0.2, chosen)
    assert computed(loss_of("ntxent", {"temperature": 0.2}), chosen) == pytest.approx(expected, rel=1e-9)


def test_ntxent_without_a_positive_pair_costs_nothing():
    embeddings = torch.tensor(ROWS[:2], requires_grad=True)
    value = loss_of("ntxent", {"temperature": 0.2})(embeddings, torch.tensor([0, 1]))
    value.backward()
    assert float(value.detach()) == 0
    assert embeddings.grad.abs().max() == 0


MARGINS = [("margin", {"learn_beta": True, "num_classes": classes}, None) for classes in (None, NUMBER_OF_CLASSES)]


@pytest.mark.parametrize(
    ("method", "arguments"), [*WITHOUT_WEIGHTS, *((each[0], each[1]) for each in [*WITH_WEIGHTS, *MARGINS])]
)
def test_gradients_are_those_of_small_differences(method, arguments):
    sizes = {"num_classes": NUMBER_OF_CLASSES, "embedding_size": SIZE}
    loss = loss_of(method, arguments, **sizes).double()
    generator = torch.Generator().manual_seed(3)
    weights = {
        name: 0.7 + 0.5 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        for name, weight in loss.named_parameters()
    }
    leaves = [value.requires_grad_() for value in (torch.tensor(ROWS), *weights.values())]

    def value(rows, *given):
        given = dict(zip(weights, given, strict=True))
        return torch.func.functional_call(loss, given, (rows, torch.tensor(LABELS)))

    assert torch.autograd.gradcheck(value, leaves, fast_mode=True)
    assert all(gradient.abs().max() > 0 for gradient in torch.autograd.grad(value(*leaves), leaves))


def test_proxy_nca_charges_what_is_far_from_its_proxy_at_any_scale():
    loss = loss_of("proxy_nca", {"softmax_scale": 100.0}, num_classes=2, embedding_size=2)
    loss.proxies.data = torch.eye(2)
    embeddings = torch.tensor([[0.0, 1.0], [0.28, 0.96]], requires_grad=True)
    value = loss(embeddings, torch.tensor([0, 0]))
    value.backward()
    assert float(value.detach()) == pytest.approx((200 + 136) / 2, rel=1e-4)
    assert torch.isfinite(embeddings.grad).all()
    assert (embeddings.grad.abs().amax(dim=1) > 1).all()


def test_coinciding_centres_and_weights_that_meet_an_embedding_give_finite_gradients():
    loss = loss_of("soft_triple", {"centers_per_class": 3}, num_classes=NUMBER_OF_CLASSES, embedding_size=SIZE)
    loss.fc.data = torch.ones(SIZE, NUMBER_OF_CLASSES * 3)
    arc = loss_of("arcface", {"margin": 20.0}, num_classes=NUMBER_OF_CLASSES, embedding_size=SIZE)
    arc.W.data = torch.ones(SIZE, NUMBER_OF_CLASSES)
    for each in (loss, arc):
        each(torch.ones(2, SIZE), torch.tensor([0, 1])).backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in each.parameters())


@pytest.mark.parametrize(
    "own",
    [
        "NTXentLoss",
        "SignalToNoiseRatioContrastiveLoss",
        "SoftTripleLoss",
        "ProxyNCALoss",
        "ThresholdConsistentMarginLoss",
        "PNPLoss",
    ],
)
def test_the_cheaper_versions_of_costly_losses_have_the_library_s_values_and_gradients(own):
    labels = torch.arange(16).repeat_interleave(4)
    rows = torch.randn(64, 128, generator=torch.Generator().manual_seed(2)) + torch.eye(16, 128)[labels] * 3
    sizes = {"num_classes": 16, "embedding_size": 128} if own in ("SoftTripleLoss", "ProxyNCALoss") else {}
    without = {"reg_weight": 0} if own == "SoftTripleLoss" else {}
    found = []
    for loss in (build("loss", ClassSpec.model_validate({own: without}), **sizes), getattr(library, own)(**sizes)):
        for parameter in loss.parameters():
            parameter.data = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
        embeddings = rows.clone().requires_grad_()
        value = loss(embeddings, labels)
        value.backward()
        found.append((value.detach(), embeddings.grad, *(parameter.grad for parameter in loss.parameters())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_snr_of_equal_embeddings_is_zero_with_finite_gradients():
    loss = loss_of("snr_contrastive", {"pos_margin": 0.0, "neg_margin": 1.0})
    embeddings = torch.randn(1, 128).repeat(2, 1).requires_grad_()
    value = loss(embeddings, torch.tensor([0, 0]))
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(embeddings.grad).all()


TRIPLETS = [("TripletMarginLoss", {"margin": 0.3}), ("TripletMarginLoss", {"margin": 0.3, "swap": True})]
TRIPLETS += [("MarginLoss", {"learn_beta": True, "nu": 0.1, "num_classes": NUMBER_OF_CLASSES})]


@pytest.mark.parametrize(("name", "arguments"), TRIPLETS)
@pytest.mark.parametrize("chosen", ["all", "pairs", "triplets", "none"])
def test_losses_of_triplets_have_the_library_s_values_and_gradients_to_the_last_bit(name, arguments, chosen):
    labels = torch.tensor(LABELS if chosen != "none" else [0] * 10)
    pairs = get_all_pairs_indices(labels)
    shuffled = torch.randperm(len(pairs[2]), generator=torch.Generator().manual_seed(1))[:20]
    some = {"pairs": (*(side[::2] for side in pairs[:2]), *(side[shuffled] for side in pairs[2:]))}
    some["triplets"] = convert_to_triplets(some["pairs"], labels)
    found = []
    for loss in (build("loss", ClassSpec.model_validate({name: arguments})), getattr(library, name)(**arguments)):
        embeddings = torch.tensor(ROWS, dtype=torch.float32, requires_grad=True)
        value = loss(embeddings, labels, some.get(chosen))
        value.backward()
        found.append((value.detach(), embeddings.grad, *(parameter.grad for parameter in loss.parameters())))
    assert same(*found)


def test_pairs_of_other_items_than_the_batch_s_give_the_library_s_triplets():
    queries, others = torch.tensor([0, 1, 1, 2]), torch.tensor([1, 0, 0, 3, 1, 1])
    for ours, theirs in zip(as_triplets(None, queries, others), get_all_triplets_indices(queries, others), strict=True):
        assert torch.equal(ours, theirs)
