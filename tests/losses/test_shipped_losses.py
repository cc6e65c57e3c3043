"""Every shipped loss config: it trains, at the bounds of its search space and on odd batches too, and resumes."""

import pytest
import torch

from powerbench.config.schema import thaw
from powerbench.seeding import seeded
from tests.losses.shipped import METHODS, OVERLAYS, SPACES, Objective, configured, corners
from tests.reference import naive_newer_losses, reality_check_facts
from tests.training.interrupting import same, train_interrupted, without_times
from tests.training.test_loop import weights
from tests.training.tiny import CONFIG, tiny_job

WITH_WEIGHTS = {*naive_newer_losses.WITH_WEIGHTS, *reality_check_facts.OWN_WEIGHTS, "margin, with_cross_batch_memory"}
ONE_A_CLASS = {*naive_newer_losses.WITH_WEIGHTS, *reality_check_facts.CLASSIFICATION}
CLASSES, SIZE, MEMORY = 12, 16, 2 * 4 * 12
"""A memory of two batches of four items a class."""


@pytest.mark.parametrize("name", METHODS)
def test_from_its_yaml_alone_a_fixed_batch_gets_cheaper_and_every_tensor_has_a_gradient(name):
    config = configured(METHODS[name], memory_size=MEMORY)
    per_class = config.sampler.args["m"]
    assert per_class == (1 if name in ONE_A_CLASS else 4)
    labels = torch.arange(CLASSES).repeat_interleave(per_class)
    with seeded(1):
        objective = Objective(config, CLASSES, SIZE)
        head, inputs = torch.nn.Linear(24, SIZE), torch.randn(len(labels), 24)
    parameters = {**dict(head.named_parameters()), **dict(objective.named_parameters())}
    assert (len(parameters) > 2) == (name in WITH_WEIGHTS)
    optimizer = torch.optim.Adam(parameters.values(), lr=0.01)
    for _ in range(2 * name.endswith(OVERLAYS[0])):
        objective(head(inputs), labels)  # a memory that fills up would make the loss another one at each step
    history = []
    for _ in range(30):
        optimizer.zero_grad()
        value = objective(head(inputs), labels)
        value.backward()
        assert all(torch.isfinite(tensor.grad).all() for tensor in parameters.values())
        if not history:
            assert all(tensor.grad.abs().max() > 0 for tensor in parameters.values())
        optimizer.step()
        history.append(float(value.detach()))
    assert history[-1] < history[0]


def rows(count):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(1))


BATCHES = {
    "in no order, one item alone": (rows(9), [2, 0, 1, 0, 2, 1, 0, 3, 2]),
    "one class": (rows(6), [1] * 6),
    "one item a class": (rows(4), [0, 1, 2, 3]),
    "two items": (rows(2), [1, 1]),
    "a single item": (rows(1), [1]),
    "all equal": (rows(1).repeat(6, 1), [0, 0, 1, 1, 2, 2]),
    "duplicates": (rows(3).repeat(2, 1), [0, 1, 2, 0, 1, 1]),
    "opposites": (torch.cat([rows(3), -rows(3)]), [0, 0, 1, 1, 2, 0]),
    "far from each other": (torch.eye(6)[:4] * torch.tensor([[1.0], [-1.0], [1.0], [1.0]]), [0, 0, 1, 1]),
    "one at the origin": (torch.cat([rows(5), torch.zeros(1, 6)]), [0, 0, 1, 1, 2, 2]),
}


@pytest.mark.parametrize("name", METHODS | SPACES)
def test_loss_and_gradients_are_finite_at_the_bounds_of_the_search_space_and_on_odd_batches(name):
    for config in corners((METHODS | SPACES)[name]):
        with seeded(1):
            objective = Objective(config, 4, 6)
        for kind, (embeddings, labels) in BATCHES.items():
            embeddings = embeddings.clone().requires_grad_()
            objective.zero_grad()
            value = objective(embeddings, torch.tensor(labels))
            value.backward()
            gradients = [embeddings.grad, *(p.grad for p in objective.parameters() if p.grad is not None)]
            finite = [torch.isfinite(tensor).all() for tensor in (value, *gradients)]
            assert all(finite), (kind, config.loss_funcs, config.mining_funcs)


def trained(name, folder, stops):
    """A fold run of the tiny world with the config's loss, stopped and continued at the given moments."""
    config = configured(METHODS[name], memory_size=20)  # which is full, and no multiple of a batch, after three steps
    optimizers = dict(CONFIG["optimizers"])
    if name in WITH_WEIGHTS:
        optimizers["metric_loss_optimizer"] = {"RMSprop": {"lr": 0.01}}
    losses, miners = (
        {key: {spec.name: thaw(spec.args)} for key, spec in specs.items()}
        for specs in (config.loss_funcs, config.mining_funcs)
    )
    job = tiny_job(folder, loss_funcs=losses, mining_funcs=miners, optimizers=optimizers)
    result, stopped = train_interrupted(job, stops)
    assert stopped == len(stops)
    assert result.failure is None
    return without_times(result), weights(job)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in METHODS if OVERLAYS[0] not in name or name[:5] in ("contr", "margi")]
)
def test_a_run_with_each_that_is_interrupted_ends_at_the_same_bits(name, tmp_path):
    whole, broken = trained(name, tmp_path / "whole", ()), trained(name, tmp_path / "broken", (5, 8))
    assert whole[0] == broken[0]
    assert same(whole[1], broken[1])
