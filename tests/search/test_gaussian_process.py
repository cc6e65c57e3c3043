"""The model of a search's trials against naive recomputation."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from powerbench.search import gaussian_process
from powerbench.search.gaussian_process import (
    NOISE,
    SCALE,
    SKEW,
    WARP,
    Axes,
    Geometry,
    HyperparameterPosterior,
    correlation,
)


def axes(*levels, ordered=None):
    flags = [True] * len(levels) if ordered is None else ordered
    return Axes(torch.tensor(levels, dtype=torch.float64), torch.tensor(flags))


def trials(count, dimension, seed=0):
    generator = np.random.default_rng(seed)
    points = torch.tensor(generator.random((count, dimension)))
    values = (6 * points[:, 0]).sin() + 0.05 * torch.tensor(generator.standard_normal(count))
    return points, (values - values.mean()) / values.std(correction=0)


def naive_warp(x, warp):
    """Logarithmic, from 0 to 1."""
    return math.log(1 + (math.exp(warp) - 1) * x) / warp


def naive_covariance(points, scales, skew, warps, noise):
    """Two axes: each warped and divided by its length scale, then the first added ``skew`` times to the second."""
    found = np.zeros((len(points), len(points)))
    for i, first in enumerate(points.tolist()):
        for j, second in enumerate(points.tolist()):
            across, up = (
                (naive_warp(a, warp) - naive_warp(b, warp)) / scale
                for a, b, scale, warp in zip(first, second, scales, warps, strict=True)
            )
            found[i, j] = math.exp(-0.5 * (across**2 + (up + skew * across) ** 2)) + noise * (i == j)
    return found


def test_likelihood_and_prior_are_those_of_a_process_with_warped_skewed_axes_and_the_mean_that_fits_best():
    points, values = trials(9, 2)
    posterior = HyperparameterPosterior(axes(0, 0), points, values)
    logs = torch.tensor([[-1.0, 0.3, 0.8, 1.5, -0.7, -3.0], [0.2, -0.5, -0.4, -2.0, 3.0, -5.0]], dtype=torch.float64)
    expected = []
    for first, second, skew, *warps, noise in logs.tolist():
        covariance = naive_covariance(points, (math.exp(first), math.exp(second)), skew, warps, math.exp(noise))
        weights = np.linalg.solve(covariance, np.ones(9))
        mean = weights @ values.numpy() / weights.sum()
        expected.append(multivariate_normal(np.full(9, mean), covariance).logpdf(values.numpy()))
    found = posterior.log_likelihood(logs)
    assert float(found[0] - found[1]) == pytest.approx(expected[0] - expected[1], abs=1e-3)
    scale, warp = norm(SCALE[0] + math.log(2) / 2, SCALE[1]), norm(0, WARP)
    prior = [
        scale.logpdf(a)
        + scale.logpdf(b)
        + norm(0, SKEW).logpdf(c)
        + warp.logpdf(d)
        + warp.logpdf(e)
        + norm(*NOISE).logpdf(f)
        for a, b, c, d, e, f in logs
    ]
    assert float(posterior.log_prior(logs).diff()) == pytest.approx(prior[1] - prior[0])


@pytest.mark.parametrize("warp", [-4.0, -1e-6, 0.0, 1e-6, 2.5])
def test_a_warp_keeps_the_ends_is_even_at_zero_and_goes_straight_beyond_the_bounds(warp):
    places = torch.tensor([-0.5, 0.0, 0.2, 0.6, 1.0, 1.5], dtype=torch.float64)[:, None]
    alone = torch.ones(1, 1).double(), torch.empty(1, 0).double()
    found = axes(0).placed(places, Geometry(*alone, torch.tensor([[warp]]).double()))[0, :, 0]
    assert (found.diff() > 0).all()
    assert found[[1, 4]].tolist() == pytest.approx([0, 1])
    if abs(warp) < 1e-3:
        assert found.tolist() == pytest.approx(places[:, 0].tolist(), abs=1e-4)
    else:
        assert found[2:4].tolist() == pytest.approx([naive_warp(0.2, warp), naive_warp(0.6, warp)])
        slopes = [(naive_warp(end + 1e-6, warp) - naive_warp(end - 1e-6, warp)) / 2e-6 for end in (0, 1)]
        assert [float(-2 * found[0]), float(2 * (found[5] - 1))] == pytest.approx(slopes, rel=1e-3)


def spread_of(weights, logs):
    mean = weights @ logs
    return float(mean), float((weights @ (logs - mean).square()).sqrt())


def test_draws_are_spread_as_the_posterior():
    points, values = trials(8, 1)
    posterior = HyperparameterPosterior(axes(0), points, values)
    priors = (SCALE, (0.0, WARP), NOISE)
    grid = torch.cartesian_prod(*(torch.linspace(m - 5 * s, m + 5 * s, 61).double() for m, s in priors))
    weights = (posterior.log_likelihood(grid) + posterior.log_prior(grid)).softmax(0)
    torch.manual_seed(0)
    draws = posterior.draws(512)
    found = draws.geometry.scales[:, 0].log(), draws.geometry.warps[:, 0], draws.noise.log()
    for drawn, logs in zip(found, grid.T, strict=True):
        mean, spread = spread_of(weights, logs)
        assert float(drawn.mean()) == pytest.approx(mean, abs=0.3 * spread)
        assert float(drawn.std()) == pytest.approx(spread, rel=0.3)


@pytest.mark.slow
def test_draws_of_many_hyperparameters_are_about_as_likely_as_those_of_a_long_chain(monkeypatch):
    points, values = trials(20, 6)
    posterior = HyperparameterPosterior(axes(*[0] * 6), points, values)

    def mean_density(seed):
        torch.manual_seed(seed)
        draws = posterior.draws()
        shape, noise = draws.geometry, draws.noise.log()[:, None]
        logs = torch.cat([shape.scales.log(), shape.skews, shape.warps, noise], dim=1)
        return float((posterior.log_likelihood(logs) + posterior.log_prior(logs)).mean())

    found = [mean_density(seed) for seed in range(4)]
    monkeypatch.setattr(gaussian_process, "STEPS", 6 * gaussian_process.STEPS)
    assert np.mean(found) > mean_density(0) - 3


def test_discrete_coordinates_lie_in_bins_and_unordered_ones_are_equal_or_different():
    mixed = axes(0, 4, 3, ordered=[True, True, False])
    points = torch.tensor([[0.31, 0.05, 0.1], [0.31, 0.2, 0.9], [0.31, 0.99, 0.9]], dtype=torch.float64)
    snapped = mixed.snapped(points)
    assert snapped[:, 1].tolist() == [0.125, 0.125, 0.875]
    even = Geometry(torch.ones(1, 3).double(), torch.zeros(1, 1).double(), torch.zeros(1, 2).double())
    placed = mixed.placed(snapped, even)[0]
    assert torch.cdist(placed[:2], placed[:2])[0, 1].square().tolist() == pytest.approx(1)  # one choice or another
    assert torch.cdist(placed[1:], placed[1:])[0, 1].square().tolist() == pytest.approx(0.5625, abs=1e-4)
    many = axes(*[0] * 5)
    assert many.pairs.shape == (2, 0)
    even = Geometry(torch.full((1, 5), 2.0).double(), torch.empty(1, 0).double(), torch.zeros(1, 5).double())
    ends = many.placed(torch.zeros(1, 5).double(), even), many.placed(torch.ones(1, 5).double(), even)
    assert float(correlation(*ends)) == pytest.approx(math.exp(-0.5 * 5 / 4))
