"""The model of a search, against slow recomputations."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from synthetic_searches import hill, mixed

from meta_logs.optimization import surrogate
from meta_logs.optimization.search import search_of
from meta_logs.optimization.surrogate import fit

ORDERED = np.array([True, True, True])


def noisy(count=30, seed=0):
    generator = np.random.default_rng(seed)
    points = generator.random((count, 3))
    values = 40 + 5 * np.sin(3 * points[:, 0]) - 4 * points[:, 1] ** 2 + generator.normal(scale=0.3, size=count)
    return points, values


def test_predictions_are_those_of_another_implementation_with_the_same_setting():
    points, values = noisy()
    model = fit(points, values, ORDERED)
    kernel = ConstantKernel(model.signal) * Matern(model.scales, nu=2.5) + WhiteKernel(model.noise + 1e-8)
    oracle = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(
        points, (values - values.mean()) / values.std()
    )
    there = np.random.default_rng(1).random((50, 3))
    mean, deviation = oracle.predict(there, return_std=True)
    found, spread = model.predict(there)
    np.testing.assert_allclose(found, values.mean() + values.std() * mean, rtol=1e-8)
    np.testing.assert_allclose(model.mean(there), found)
    without_noise = np.sqrt(deviation**2 - model.noise - 1e-8) * values.std()
    np.testing.assert_allclose(spread, without_noise, rtol=1e-5)


def test_the_gradient_is_that_of_small_steps():
    points, values = noisy(12)
    standard = (values - values.mean()) / values.std()
    distances = surrogate._distances(points, points, ORDERED)
    logs = np.array([-0.5, 0.3, 1.0, 0.2, -3.0])
    _, gradient = surrogate._loss(logs, distances, standard)
    steps = 1e-5 * np.eye(5)
    losses = [[surrogate._loss(logs + sign * step, distances, standard)[0] for sign in (1, -1)] for step in steps]
    np.testing.assert_allclose(gradient, [(up - down) / 2e-5 for up, down in losses], rtol=1e-4, atol=1e-6)


def test_leave_one_out_is_that_of_models_without_the_trial():
    points, values = noisy(15)
    model = fit(points, values, ORDERED)
    for left in (0, 7):
        kept = np.arange(15) != left
        across = surrogate._matern(surrogate._distances(points[[left]], points[kept], ORDERED), model.scales)
        among = surrogate._matern(surrogate._distances(points[kept], points[kept], ORDERED), model.scales)
        standard = (values[kept] - values.mean()) / values.std()
        noise = (model.noise + 1e-8) * np.eye(14)
        expected = model.signal * across @ np.linalg.solve(model.signal * among + noise, standard)
        assert model.left_out[left] == pytest.approx(values.mean() + values.std() * expected[0])
    assert 0.8 < model.explained < 1
    np.testing.assert_allclose(model.centre + model.spread * model._standardised, values)


def test_there_is_no_model_of_too_little():
    points, values = noisy(30)
    assert fit(points[:3], values[:3], ORDERED) is None
    assert fit(points, np.full(30, 4.0), ORDERED) is None
    assert fit(points[:, :0], values, ORDERED[:0]) is None


def test_many_trials_are_thinned_and_the_best_is_kept(monkeypatch):
    monkeypatch.setattr(surrogate, "MOST", 20)
    points, values = noisy(75)
    model = fit(points, values, ORDERED)
    assert len(model.points) in (19, 20)
    assert points[values.argmax()] in model.points


def test_unordered_choices_are_equally_far_apart():
    ordered = np.array([False])
    distances = surrogate._distances(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0]]), ordered)
    assert distances.ravel().tolist() == [0, 1, 1]
    search = search_of(mixed())
    (low,), (high,) = (search.surrogate.mean(_at(search, miner=place)[None]) for place in (0, 2))
    assert high - low == pytest.approx(5, abs=1), "semi-hard is 5 percent points better"


def _at(search, **places):
    base = search.points[search.chosen].copy()
    for name, place in places.items():
        base[[axis.name for axis in search.axes].index(name)] = place
    return base * search.units


def test_importances_are_the_shares_of_an_additive_objective():
    search = search_of(hill(60))
    found = {one.axis.name: one for one in search.importances}
    grid = np.linspace(0, 1, 2001)
    alone = {
        "alpha": np.var(3 * (4 * grid - 2 - 0.5) ** 2),
        "beta": np.var(0.8 * (4 * grid - 2 - 1) ** 2),
        "base": np.var((grid - 0.5) ** 2),
    }
    for name, variance in alone.items():
        assert found[name].alone == pytest.approx(variance / sum(alone.values()), abs=0.05)
        assert found[name].alone <= found[name].total <= found[name].alone + 0.1
    assert [one.axis.name for one in search.importances] == ["alpha", "beta", "base"]
