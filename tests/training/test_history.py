import math

import pytest
import torch

from powerbench.evaluation.embedding import NotFinite
from powerbench.jobs import LossValue, Measurement
from powerbench.training.history import EpochLosses, History


def test_only_a_strictly_greater_value_is_better():
    history = History()
    history.set_best(0, 0.5, {})
    assert not history.is_best(0.5)
    assert not history.is_best(math.nan)
    assert history.is_best(math.nextafter(0.5, 1))


@pytest.mark.parametrize(
    ("save_interval", "patience", "measured_before_the_stop"), [(2, 9, 5), (5, 14, 3), (20, 39, 2)]
)
def test_patience_as_published(save_interval, patience, measured_before_the_stop):
    """The numbers of evaluations without gain of CUB, Cars and SOP."""
    history = History()
    history.set_best(save_interval, 0.5, {})
    count = 0
    while not history.out_of_patience(patience):
        count += 1
        history.last_measured = save_interval * (count + 1)
    assert count == measured_before_the_stop


def test_without_patience_it_never_stops():
    history = History(last_measured=10**6, best_epoch=0)
    assert not history.out_of_patience(None)


def test_its_state_restores_it():
    history = History(epoch=3, iterations=9, seconds=1.5, last_measured=2)
    history.set_best(2, 0.25, {"embedder": {"weight": torch.ones(2)}})
    history.measurements.append(Measurement("val", 2, "trained", "map_at_r", 0.25))
    history.losses.append(LossValue(1, "total_loss", 0.1))
    restored = History.from_state(history.state())
    assert restored == history
    assert restored.line("epoch 3") == "epoch 3: map_at_r 0.2500 on val (epoch 2), best 0.2500 at epoch 2"


def test_a_line_before_anything_is_measured():
    assert History().line("epoch 1 of 9") == "epoch 1 of 9"


def test_losses_are_means_over_the_iterations_that_had_them():
    losses = EpochLosses()
    losses.add({"a": torch.tensor(1.0), "b": torch.tensor(5.0)})
    losses.add({"a": torch.tensor(2.0, requires_grad=True)})
    assert losses.means(4) == [LossValue(4, "a", 1.5), LossValue(4, "b", 5.0)]
    assert EpochLosses().means(1) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_are_refused(value):
    losses = EpochLosses()
    losses.add({"a": torch.tensor(1.0), "b": torch.tensor(value)})
    with pytest.raises(NotFinite, match=f"b is {value} in epoch 2") as error:
        losses.means(2)
    assert error.value.kind == "nan"
