import pytest
import torch
from torch import nn

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError
from powerbench.methods.contract import Update
from powerbench.training.optimizers import Optimizers, weighted_sum
from tests.training.tiny import CONFIG

CPU = torch.device("cpu")


def config(**optimizers):
    embedder = optimizers.pop("embedder", {"SGD": {"lr": 1.0}})
    named = {f"{name}_optimizer": spec for name, spec in optimizers.items()}
    return ExperimentConfig.from_plain({**CONFIG, "optimizers": {"embedder_optimizer": embedder, **named}})


def parameter(*values):
    return nn.Parameter(torch.tensor(values))


def test_an_update_minimises_its_weighted_sum():
    p = parameter(1.0, 2.0)
    optimizers = Optimizers(config(), {"embedder": [p]}, CPU)
    update = Update({"a": p.sum(), "b": (p * 3).sum()}, {"b": 0.5})
    assert weighted_sum(update).item() == 3 + 0.5 * 9
    assert optimizers.step(update).item() == 7.5
    assert p.tolist() == [1 - 2.5, 2 - 2.5]


def test_modules_that_an_update_does_not_name_keep_their_values_and_get_no_gradient_later():
    p, q = parameter(1.0), parameter(1.0)
    optimizers = Optimizers(config(metric_loss={"SGD": {"lr": 1.0}}), {"embedder": [p], "metric_loss": [q]}, CPU)
    optimizers.step(Update({"loss": (p * q).sum()}, optimizers=("embedder",)))
    assert (p.item(), q.item()) == (0.0, 1.0)
    optimizers.step(Update({"loss": (q * 2).sum()}))
    assert (p.item(), q.item()) == (0.0, -1.0)


def test_gradients_are_clipped_module_by_module():
    p, q = parameter(0.0, 0.0), parameter(0.0)
    optimizers = Optimizers(
        config(embedder={"SGD": {"lr": 1.0, "clip_grad_norm": 0.5}}, metric_loss={"SGD": {"lr": 1.0}}),
        {"embedder": [p], "metric_loss": [q]},
        CPU,
    )
    optimizers.step(Update({"loss": 3 * p[0] + 4 * p[1] + 5 * q[0]}))
    assert p.tolist() == pytest.approx([-0.3, -0.4], rel=1e-5)
    assert q.item() == -5.0


def test_schedulers_step_by_iteration_by_epoch_and_on_a_plateau():
    spec = {
        "SGD": {
            "lr": 1.0,
            "scheduler_by_iteration": {"ExponentialLR": {"gamma": 0.5}},
            "scheduler_by_epoch": {"StepLR": {"step_size": 1, "gamma": 0.1}},
            "scheduler_by_plateau": {"ReduceLROnPlateau": {"patience": 0, "factor": 0.2}},
        }
    }
    p = parameter(1.0)
    optimizers = Optimizers(config(embedder=spec), {"embedder": [p]}, CPU)
    rate = lambda: optimizers.by_module["embedder"].optimizer.param_groups[0]["lr"]  # noqa: E731
    optimizers.step(Update({"loss": p.sum()}))
    assert rate() == 0.5
    optimizers.end_epoch()
    assert rate() == pytest.approx(0.05)
    optimizers.end_validation(0.4)
    optimizers.end_validation(0.5)  # better: higher
    assert rate() == pytest.approx(0.05)
    optimizers.end_validation(0.5)
    assert rate() == pytest.approx(0.01)


def test_a_plateau_may_be_one_of_falling_values():
    spec = {"SGD": {"lr": 1.0, "scheduler_by_plateau": {"ReduceLROnPlateau": {"mode": "min", "patience": 0}}}}
    optimizers = Optimizers(config(embedder=spec), {"embedder": [parameter(1.0)]}, CPU)
    optimizers.end_validation(0.5)
    optimizers.end_validation(0.4)
    assert optimizers.by_module["embedder"].optimizer.param_groups[0]["lr"] == 1.0


def test_exchanged_parameters_get_a_fresh_optimiser_and_the_others_keep_theirs():
    p, q = parameter(1.0), parameter(1.0)
    settings = config(embedder={"Adam": {"lr": 0.1}}, metric_loss={"Adam": {"lr": 0.1}})
    optimizers = Optimizers(settings, {"embedder": [p], "metric_loss": [q]}, CPU)
    optimizers.step(Update({"loss": (p + q).sum()}))
    kept, exchanged = optimizers.by_module["embedder"], parameter(2.0)
    optimizers.refresh({"embedder": [p], "metric_loss": [exchanged]})
    assert optimizers.by_module["embedder"] is kept
    assert not optimizers.by_module["metric_loss"].optimizer.state
    optimizers.step(Update({"loss": exchanged.sum()}))
    assert exchanged.item() == pytest.approx(1.9)
    optimizers.refresh({"embedder": [p]})
    assert list(optimizers.by_module) == ["embedder"]


def test_its_state_continues_it():
    def steps(optimizers, p, count):
        for _ in range(count):
            optimizers.step(Update({"loss": (p**2).sum()}))
            optimizers.end_epoch()

    spec = {"Adam": {"lr": 0.1, "scheduler_by_epoch": {"ExponentialLR": {"gamma": 0.9}}}}
    p, q = parameter(1.0, -2.0), parameter(1.0, -2.0)
    whole = Optimizers(config(embedder=spec), {"embedder": [p]}, CPU)
    steps(whole, p, 5)
    first = Optimizers(config(embedder=spec), {"embedder": [q]}, CPU)
    steps(first, q, 2)
    state, r = first.state(), nn.Parameter(q.detach().clone())
    second = Optimizers(config(embedder=spec), {"embedder": [r]}, CPU)
    second.load_state(state)
    steps(second, r, 3)
    assert torch.equal(p, r)


def test_idle_optimisers_are_fine_and_those_of_nothing_are_not():
    Optimizers(config(trunk={"SGD": {}}, metric_loss={"SGD": {}}), {"embedder": [parameter(1.0)]}, CPU)
    with pytest.raises(UserError, match=r"metrik_loss_optimizer belongs to no module.*metric_loss_optimizer"):
        Optimizers(config(metrik_loss={"SGD": {}}), {"embedder": [parameter(1.0)]}, CPU)


def test_trained_modules_need_an_optimiser():
    with pytest.raises(UserError, match="metric_loss_optimizer"):
        Optimizers(config(), {"embedder": [parameter(1.0)], "metric_loss": [parameter(1.0)]}, CPU)
    with pytest.raises(UserError, match="heads has parameters to train, but there is no heads_optimizer"):
        Optimizers(config(), {"embedder": [parameter(1.0)], "heads": [parameter(1.0)]}, CPU)
