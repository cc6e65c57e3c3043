"""Each of the newer losses: its paper's definition, its gradients, and what its YAML alone gives."""

from collections.abc import Mapping

import pytest
import pytorch_metric_learning.losses as library
import torch

from powerbench.classes import build
from powerbench.config.merged import load_config
from powerbench.config.schema import ClassSpec
from powerbench.config.search_keys import fill, search_keys
from powerbench.config.typed import typed
from powerbench.methods.metric_losses import build_losses
from powerbench.seeding import seeded
from tests.reference import naive_newer_losses as naive
from tests.training.interrupting import same, train_interrupted, without_times
from tests.training.test_loop import weights
from tests.training.tiny import CONFIG, tiny_job

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
    ("with_variance_covariance", "VarianceCovarianceLoss", {"variance_mu": 2.0, "covariance_v": 0.3}),
]

CONFIGS = [*dict.fromkeys(name for name, _, _ in DEFINITIONS), "contrastive_cross_batch_memory"]


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


@pytest.mark.parametrize("name", ["SmoothAPLoss", "RecallAtKLoss"])
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


def configured(name):
    """The typed config with the middle of each searched range, on its own scale."""
    merged = load_config({"config_loss_and_miners": ["default", name]}, {})
    values = {}
    for key in search_keys(merged):
        low, high = key.value
        middle = (low * high) ** 0.5 if key.operator == "LOG_BAYESIAN" else (low + high) / 2
        values[key.path] = type(low)(middle)
    return typed(fill(merged, values), merged)


@pytest.mark.parametrize("name", CONFIGS)
def test_from_its_yaml_alone_a_fixed_batch_gets_cheaper_and_every_tensor_has_a_gradient(name):
    config = configured(name)
    per_class = config.sampler.args["m"]
    assert per_class == (1 if name in naive.WITH_WEIGHTS else 4)
    labels = torch.arange(12).repeat_interleave(per_class)
    with seeded(1):
        losses = torch.nn.ModuleDict(build_losses(config, 12, 16))
        head, inputs = torch.nn.Linear(24, 16), torch.randn(len(labels), 24)
    parameters = {**dict(head.named_parameters()), **dict(losses.named_parameters())}
    assert (len(parameters) > 2) == (name in naive.WITH_WEIGHTS)
    optimizer = torch.optim.Adam(parameters.values(), lr=0.01)
    history = []
    for _ in range(30):
        optimizer.zero_grad()
        value = sum(loss(head(inputs), labels) for loss in losses.values())
        value.backward()
        assert all(torch.isfinite(tensor.grad).all() for tensor in parameters.values())
        if not history:
            assert all(tensor.grad.abs().max() > 0 for tensor in parameters.values())
        optimizer.step()
        history.append(float(value.detach()))
    assert history[-1] < history[0]


def trained(name, folder, stops):
    """A fold run of the tiny world with the config's loss, stopped and continued at the given moments."""
    config = configured(name)
    losses = {key: {spec.name: plain(spec.args)} for key, spec in config.loss_funcs.items()}
    optimizers = dict(CONFIG["optimizers"])
    if name in naive.WITH_WEIGHTS:
        optimizers["metric_loss_optimizer"] = {"RMSprop": {"lr": 0.01}}
    job = tiny_job(folder, loss_funcs=losses, optimizers=optimizers)
    result, stopped = train_interrupted(job, stops)
    assert stopped == len(stops)
    assert result.failure is None
    return without_times(result), weights(job)


def plain(value):
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_with_each_that_is_interrupted_ends_at_the_same_bits(name, tmp_path):
    whole, broken = trained(name, tmp_path / "whole", ()), trained(name, tmp_path / "broken", (5, 8))
    assert whole[0] == broken[0]
    assert same(whole[1], broken[1])
