"""Each of the newer losses: its paper's definition and its gradients."""

import pytest
import pytorch_metric_learning.losses as library
import torch

from powerbench.classes import build
from powerbench.config.schema import ClassSpec
from powerbench.methods.metric_losses import build_losses
from tests.losses.shipped import PAIR_LOSSES, configured
from tests.reference import naive_losses
from tests.reference import naive_newer_losses as naive

SIZE, NUMBER_OF_CLASSES = 8, 5
LABELS = [1, 0, 0, 3, 1, 0, 3, 1, 3, 4]
"""In no order, one class with a single item, one with none."""

DEFINITIONS = [
    ("proxy_anchor", "ProxyAnchorLoss", {"margin": 0.1, "alpha": 32.0}),
    ("proxy_anchor", "ProxyAnchorLoss", {"margin": 0.4, "alpha": 3.0}),
    ("supcon", "SupConLoss", {"temperature": 0.1}),
    ("supcon", "SupConLoss", {"temperature": 0.8}),
    ("circle", "CircleLoss", {"m": 0.4, "gamma": 80.0}),
    ("circle", "CircleLoss", {"m": 0.1, "gamma": 10.0}),
    ("smooth_ap", "SmoothAPLoss", {"temperature": 0.01}),
    ("smooth_ap", "SmoothAPLoss", {"temperature": 0.3}),
    ("recall_at_k", "RecallAtKLoss", {"temperature": 0.01, "rank_temperature": 1.0, "k_values": [1, 2, 4, 8, 16]}),
    ("recall_at_k", "RecallAtKLoss", {"temperature": 0.2, "rank_temperature": 0.3, "k_values": [1, 3]}),
    ("sub_center_arcface", "SubCenterArcFaceLoss", {"margin": 28.6, "scale": 30.0, "sub_centers": 3}),
    ("sub_center_arcface", "SubCenterArcFaceLoss", {"margin": 90.0, "scale": 4.0, "sub_centers": 2}),
    ("instance", "InstanceLoss", {}),
    ("p2s_grad", "P2SGradLoss", {}),
    *(
        ("pnp", "PNPLoss", {"variant": variant, "anneal": 0.05, "b": 3, "alpha": 4})
        for variant in library.PNPLoss.VARIANTS
    ),
    ("pnp", "PNPLoss", {"variant": "Dq", "anneal": 0.5, "b": 2, "alpha": 1}),
    (
        "with_threshold_consistent_margin",
        "ThresholdConsistentMarginLoss",
        {"lambda_plus": 0.3, "lambda_minus": 2.0, "margin_plus": 0.6, "margin_minus": -0.1},
    ),
    ("with_variance_covariance", "VarianceCovarianceLoss", {"variance_mu": 2.0, "covariance_v": 0.3}),
]


def numbers(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows_of(labels, size=SIZE, spread=0.8):
    return numbers(max(labels) + 1, size, seed=3)[labels] + spread * numbers(len(labels), size, seed=4)


def loss_of(name, arguments):
    """The loss in float64, its weights (if it has some) random."""
    spec = ClassSpec.model_validate({name: arguments})
    loss = build("loss", spec, num_classes=NUMBER_OF_CLASSES, embedding_size=SIZE).double()
    for parameter in loss.parameters():
        parameter.data = numbers(*parameter.shape, seed=5)
    return loss


@pytest.mark.parametrize(("function", "name", "arguments"), DEFINITIONS)
def test_value_and_gradients_are_those_of_the_definition(function, name, arguments):
    loss = loss_of(name, arguments)
    rows, again = rows_of(LABELS).requires_grad_(), rows_of(LABELS).requires_grad_()
    weights = [parameter.detach().clone().requires_grad_() for parameter in loss.parameters()]
    value = loss(rows, torch.tensor(LABELS))
    expected = getattr(naive, function)(again, LABELS, *weights, **arguments)
    value.backward()
    expected.backward()
    assert float(expected.detach()) > 0.001
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(rows.grad, again.grad, rtol=1e-7, atol=1e-9)
    for parameter, weight in zip(loss.parameters(), weights, strict=True):
        torch.testing.assert_close(parameter.grad, weight.grad, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("name", "arguments"), [each[1:] for each in DEFINITIONS if each[0] != "circle"])
def test_gradients_are_those_of_small_differences(name, arguments):
    """Of all but Circle, whose weights get no gradient by definition."""
    loss = loss_of(name, arguments)
    assert torch.autograd.gradcheck(lambda rows: loss(rows, torch.tensor(LABELS)), (rows_of(LABELS).requires_grad_(),))


def test_smooth_ap_has_the_library_s_values_where_the_library_has_any():
    labels = torch.arange(4).repeat_interleave(4)  # elsewhere it takes items of several classes for one
    rows = rows_of(labels.tolist(), spread=2.0).float()
    ours = build("loss", ClassSpec.model_validate({"SmoothAPLoss": {}}))
    torch.testing.assert_close(ours(rows, labels), library.SmoothAPLoss()(rows, labels), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["SmoothAPLoss", "RecallAtKLoss", "PNPLoss"])
def test_a_batch_without_positives_costs_nothing(name):
    rows = rows_of([0, 1, 2]).requires_grad_()
    value = loss_of(name, {})(rows, torch.tensor([0, 1, 2]))
    value.backward()
    assert float(value.detach()) == 0
    assert rows.grad.abs().max() == 0


def test_cross_batch_memory_compares_with_earlier_batches_but_no_item_with_itself():
    loss = loss_of("CrossBatchMemory", {"loss": {"ContrastiveLoss": {"neg_margin": 1.3}}, "memory_size": 64})
    earlier, rows = rows_of(LABELS, spread=1.5), rows_of(LABELS)
    loss(earlier, torch.tensor(LABELS))
    expected = naive.contrastive_with_queue(rows, LABELS, earlier, LABELS, pos_margin=0.0, neg_margin=1.3)
    assert float(loss(rows, torch.tensor(LABELS))) == pytest.approx(float(expected), rel=1e-6)


def in_float64(files, **chosen):
    return build_losses(configured(files, **chosen), NUMBER_OF_CLASSES, SIZE)["metric_loss"].double()


def first_two_batches():
    """An earlier batch, a batch, and both as one with the batch's rows at the end once more, without gradients."""
    earlier, batch = rows_of(LABELS, spread=1.5), rows_of(LABELS).requires_grad_()
    return earlier, batch, torch.cat([batch, earlier, batch.detach()])


def from_batch_to_memory(pairs):
    """Of the pairs among such rows those that a loss with a memory compares: none is of an item and itself."""
    count = len(LABELS)
    return [(a, b) for a, b in pairs if a < count <= b != a + 2 * count]


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_a_pair_loss_with_a_memory_is_that_loss_of_the_pairs_from_the_batch_to_the_memory(name):
    memory, alone = (in_float64([name, *more], regularizer_weight=0.0) for more in (["with_cross_batch_memory"], []))
    earlier, batch, together = first_two_batches()
    memory(earlier, torch.tensor(LABELS))
    value = memory(batch, torch.tensor(LABELS))
    sides = [from_batch_to_memory(pairs) for pairs in naive_losses.pairs(LABELS * 3)]
    chosen = tuple(torch.tensor(places) for side in sides for places in zip(*side, strict=True))
    expected = alone(together, torch.tensor(LABELS * 3), chosen)
    if name == "multi_similarity":
        expected = expected * 3  # it is the mean over all rows, two thirds of which begin no pair
    gradients = [torch.autograd.grad(each, batch, retain_graph=True)[0] for each in (value, expected)]
    assert float(value.detach()) > 0.001
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-9)


def test_a_miner_inside_a_memory_chooses_among_the_pairs_from_the_batch_to_the_memory():
    arguments = {"alpha": 18.0, "beta": 75.0, "base": 0.3}
    memory = in_float64(["multi_similarity", "with_cross_batch_memory"], **arguments)
    memory.miner = build("miner", ClassSpec.model_validate({"MultiSimilarityMiner": {"epsilon": 0.1}}))
    earlier, batch, together = first_two_batches()
    memory(earlier, torch.tensor(LABELS))
    mined = naive_losses.mined_by_multi_similarity(together.detach(), LABELS * 3, 0.1)
    chosen = [from_batch_to_memory(pairs) for pairs in mined]
    assert [len(side) for side in chosen] < [len(from_batch_to_memory(side)) for side in naive_losses.pairs(LABELS * 3)]
    expected = 3 * naive_losses.multi_similarity(together.detach(), LABELS * 3, **arguments, chosen=chosen)
    value = memory(batch, torch.tensor(LABELS)).detach()
    assert float(value) == pytest.approx(expected, rel=1e-9)
