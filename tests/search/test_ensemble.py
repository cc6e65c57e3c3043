"""What BoTorch is given to propose with."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from test_gaussian_process import axes, trials

from powerbench.search.ensemble import Mixture, NoisyExpectedImprovement, best_candidate, drawn_in, log_improvement
from powerbench.search.gaussian_process import correlation


def fitted(count=12, kinds=None):
    kinds = kinds or axes(0, 0)
    points, values = trials(count, len(kinds.levels))
    torch.manual_seed(1)
    model = Mixture(points, values, kinds)
    model.fit()
    return model


def test_values_above_the_median_keep_their_distances_and_terrible_ones_are_drawn_in():
    values = torch.tensor([0.40, 0.42, 0.44, -5.0, 0.38], dtype=torch.float64)
    found = drawn_in(values)
    assert found[:3].tolist() == values[:3].tolist()
    assert found.argsort().tolist() == values.argsort().tolist()
    assert 0.40 - found[3] < 0.25
    equal = torch.full((3,), 0.3, dtype=torch.float64)
    assert drawn_in(equal).tolist() == equal.tolist()


@pytest.mark.parametrize("gap", [3.0, 0.0, -0.9, -1.1, -8.0, -30.0])
def test_expected_improvement_is_the_integral(gap):
    exact = quad(lambda z: (gap + z) * norm.pdf(z), -gap, -gap + 12, epsabs=0, epsrel=1e-10)[0]
    assert float(log_improvement(torch.tensor(gap, dtype=torch.float64))) == pytest.approx(math.log(exact), abs=1e-6)


def test_improvement_far_below_is_still_ordered():
    found = log_improvement(torch.tensor([-1e3, -1e5, -1e7], dtype=torch.float64))
    assert torch.isfinite(found).all()
    assert (found.diff() < 0).all()


def test_predictions_are_those_of_each_process():
    model = fitted()
    places = torch.rand(5, 2, dtype=torch.float64)
    mean, covariance = model.joint(places)
    for member in range(len(mean)):
        noise = float(model.draws.noise[member])
        known, asked = (model.axes.placed(points, model.draws.geometry) for points in (model.points, places))
        prior = correlation(known, known)[member].numpy() + noise * np.eye(12)
        across = correlation(asked, known)[member].numpy()
        centre = float(model.draws.mean[member])
        expected = centre + across @ np.linalg.solve(prior, model.values.numpy() - centre)
        assert mean[member].numpy() == pytest.approx(expected, abs=1e-6)
        variance = 1 - (across @ np.linalg.solve(prior, across.T)).diagonal()
        assert covariance[member].diagonal().numpy() == pytest.approx(variance, abs=1e-6)
    mixture = model.posterior(places)
    assert mixture.mixture_mean[:, 0].numpy() == pytest.approx(mean.mean(0).numpy())


def test_trials_pending_or_done_are_not_worth_repeating_and_the_best_candidate_is_worth_most():
    model = fitted()
    torch.manual_seed(2)
    alone = NoisyExpectedImprovement(model, None)
    best, value = best_candidate(alone)
    assert value >= alone(torch.rand(500, 1, 2, dtype=torch.float64)).max() - 0.05
    torch.manual_seed(2)
    beside = NoisyExpectedImprovement(model, best)
    assert beside(best[:, None]) < alone(best[:, None]) - 1
    assert beside(model.points[:, None]).max() < value - 1


def test_the_best_candidate_of_a_mixed_space_lies_in_the_middle_of_its_bins():
    point, _ = best_candidate(NoisyExpectedImprovement(fitted(kinds=axes(0, 4, 3, ordered=[True, True, False])), None))
    assert 0 <= point[0, 0] <= 1
    assert float(point[0, 1]) in (0.125, 0.375, 0.625, 0.875)
    assert float(point[0, 2]) == pytest.approx(min((1 / 6, 0.5, 5 / 6), key=lambda x: abs(x - float(point[0, 2]))))
