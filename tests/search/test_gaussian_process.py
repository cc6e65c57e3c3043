"""The model of a search's trials against naive recomputation."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from powerbench.search.gaussian_process import NOISE, SCALE, SKEW, Axes, HyperparameterPosterior, correlation


def axes(*levels, ordered=None):
    flags = [True] * len(levels) if ordered is None else ordered
    return Axes(torch.tensor(levels, dtype=torch.float64), torch.tensor(flags))


def trials(count, dimension, seed=0):
    generator = np.random.default_rng(seed)
    points = torch.tensor(generator.random((count, dimension)))
    values = (6 * points[:, 0]).sin() + 0.05 * torch.tensor(generator.standard_normal(count))
    return points, (values - values.mean()) / values.std(correction=0)


def naive_covariance(points, scales, skew, noise):
    """Two axes: each divided by its length scale, then the first added ``skew`` times to the second."""
    found = np.zeros((len(points), len(points)))
    for i, first in enumerate(points.tolist()):
        for j, second in enumerate(points.tolist()):
            across, up = ((a - b) / scale for a, b, scale in zip(first, second, scales, strict=True))
            found[i, j] = math.exp(-0.5 * (across**2 + (up + skew * across) ** 2)) + noise * (i == j)
    return found


def test_likelihood_and_prior_are_those_of_a_process_with_skewed_axes_and_the_mean_that_fits_best():
    points, values = trials(9, 2)
    posterior = HyperparameterPosterior(axes(0, 0), points, values)
    logs = torch.tensor([[-1.0, 0.3, 0.8, -3.0], [0.2, -0.5, -0.4, -5.0]], dtype=torch.float64)
    expected = []
    for first, second, skew, noise in logs.tolist():
        covariance = naive_covariance(points, (math.exp(first), math.exp(second)), skew, math.exp(noise))
        weights = np.linalg.solve(covariance, np.ones(9))
        mean = weights @ values.numpy() / weights.sum()
        expected.append(multivariate_normal(np.full(9, mean), covariance).logpdf(values.numpy()))
    found = posterior.log_likelihood(logs)
    assert float(found[0] - found[1]) == pytest.approx(expected[0] - expected[1], abs=1e-3)
    scale = norm(SCALE[0] + math.log(2) / 2, SCALE[1])
    prior = [
        scale.logpdf(a) + scale.logpdf(b) + norm(0, SKEW).logpdf(c) + norm(*NOISE).logpdf(d) for a, b, c, d in logs
    ]
    assert float(posterior.log_prior(logs).diff()) == pytest.approx(prior[1] - prior[0])


def test_draws_are_spread_as_the_posterior():
    points, values = trials(8, 1)
    posterior = HyperparameterPosterior(axes(0), points, values)
    grid = torch.cartesian_prod(*(torch.linspace(m - 5 * s, m + 5 * s, 101).double() for m, s in (SCALE, NOISE)))
    weights = (posterior.log_likelihood(grid) + posterior.log_prior(grid)).softmax(0)
    torch.manual_seed(0)
    draws = posterior.draws(512)
    for found, logs in ((-draws.metric[:, 0].log() / 2, grid[:, 0]), (draws.noise.log(), grid[:, 1])):
        mean = float(weights @ logs)
        spread = float((weights @ (logs - mean).square()).sqrt())
        assert float(found.mean()) == pytest.approx(mean, abs=0.3 * spread)
        assert float(found.std()) == pytest.approx(spread, rel=0.3)


def test_discrete_coordinates_lie_in_bins_and_unordered_ones_are_equal_or_different():
    mixed = axes(0, 4, 3, ordered=[True, True, False])
    points = torch.tensor([[0.31, 0.05, 0.1], [0.31, 0.2, 0.9], [0.31, 0.99, 0.9]], dtype=torch.float64)
    snapped = mixed.snapped(points)
    assert snapped[:, 1].tolist() == [0.125, 0.125, 0.875]
    apart = mixed.apart(snapped, snapped)
    assert apart[:3, 0, 1].tolist() == [0, 0, 1]
    assert apart[:3, 1, 2].tolist() == [0, 0.5625, 0]
    assert len(apart) == 4  # one pair of ordered axes
    many = axes(*[0] * 5)
    assert many.pairs.shape == (2, 0)
    metric = many.metric(torch.full((1, 5), 2.0).double(), torch.empty(1, 0).double())
    point = torch.zeros(1, 5).double()
    assert float(correlation(many.apart(point, point + 1), metric)) == pytest.approx(math.exp(-0.5 * 5 / 4))
