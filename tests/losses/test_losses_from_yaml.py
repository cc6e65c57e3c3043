"""Each of the fourteen losses, built from its YAML alone: a forward and a backward pass that mean something."""

import pytest
import torch

from powerbench.classes import build
from powerbench.config.merged import load_config
from powerbench.config.search_keys import fill, first_values, search_keys
from powerbench.config.typed import typed
from powerbench.methods.metric_losses import build_losses
from powerbench.seeding import seeded
from tests.reference.reality_check_facts import CLASSES, CLASSIFICATION, NO_WEIGHT_DECAY, OWN_WEIGHTS

SIZE, NUMBER_OF_CLASSES = 16, 12


def configured(method, middle):
    """The typed config with the lower bounds, or the middles, of what is searched."""
    merged = load_config({"config_loss_and_miners": [method]}, {})
    values = first_values(merged)
    if middle:
        values = {key.path: type(key.value[0])(sum(key.value) / 2) for key in search_keys(merged)}
    return typed(fill(merged, values), merged)


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("method", CLASSES)
def test_a_loss_runs_forward_and_backward_from_its_yaml_alone(method, middle):
    config = configured(method, middle)
    per_class = config.sampler.args["m"]
    assert per_class == (1 if method in CLASSIFICATION else 4)
    labels = torch.arange(NUMBER_OF_CLASSES).repeat_interleave(per_class)
    with seeded(1):
        loss = build_losses(config, NUMBER_OF_CLASSES, SIZE)["metric_loss"]
        embeddings = torch.randn(len(labels), SIZE, requires_grad=True)
    miner = build("miner", config.mining_funcs["tuple_miner"]) if config.mining_funcs else None
    value = loss(embeddings, labels, miner(embeddings, labels) if miner else None)
    value.backward()
    assert value.shape == ()
    assert torch.isfinite(value)
    assert torch.isfinite(embeddings.grad).all()
    parameters = list(loss.parameters())
    assert bool(parameters) == (method in OWN_WEIGHTS)
    assert all(torch.isfinite(parameter.grad).all() for parameter in parameters)
    if middle and method not in ("proxy_nca", "soft_triple"):
        assert value > 0
        assert any(tensor.grad.abs().max() > 0 for tensor in [embeddings, *parameters])


@pytest.mark.parametrize("method", NO_WEIGHT_DECAY)
def test_margin_losses_learn_one_boundary_or_one_for_each_class(method):
    loss = build_losses(configured(method, middle=True), NUMBER_OF_CLASSES, SIZE)["metric_loss"]
    assert loss.beta.tolist() == pytest.approx([0.9] * (NUMBER_OF_CLASSES if method == "margin_class" else 1))


def test_soft_triple_has_the_configured_number_of_centres():
    loss = build_losses(configured("soft_triple", middle=True), NUMBER_OF_CLASSES, SIZE)["metric_loss"]
    assert loss.fc.shape == (SIZE, NUMBER_OF_CLASSES * 10)
