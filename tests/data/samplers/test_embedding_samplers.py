"""Samplers that look at embeddings: what they select, by hand and by slow recomputation."""

from collections import Counter

import numpy as np
import pytest

from powerbench.data.samplers.d2_coreset_sampler import D2CoresetSampler, log_densities, probabilities
from powerbench.data.samplers.distance_histogram_matched_sampler import (
    DistanceHistogramMatchedSampler,
    histogram_cost_to,
)
from powerbench.data.samplers.fid_matched_sampler import FIDMatchedSampler, frechet_distance_to
from powerbench.data.samplers.greedy_coreset_sampler import GreedyCoresetSampler, greedy_coreset
from powerbench.errors import UserError
from tests.reference.slow_sampling import d2_chances, frechet, histogram_cost, k_centre

LABELS = np.repeat(np.arange(10), 8)
CORESETS = (GreedyCoresetSampler, D2CoresetSampler)
MATCHED = (FIDMatchedSampler, DistanceHistogramMatchedSampler)


def generator(seed=0):
    return np.random.default_rng(seed)


def cloud(count=80, dimensions=3, seed=1):
    return generator(seed).normal(size=(count, dimensions)) * np.arange(1, dimensions + 1)


def embed():
    return cloud().astype(np.float32)


@pytest.mark.parametrize(("start", "expected"), [(0, [0, 3, 2]), (1, [1, 3, 0]), (2, [2, 3, 0]), (3, [3, 0, 2])])
def test_the_published_coreset_of_four_points_on_a_line(start, expected):
    assert greedy_coreset(np.array([[0.0], [1.0], [2.0], [10.0]]), 3, start) == expected


@pytest.mark.parametrize("seed", range(5))
def test_a_coreset_is_what_searching_all_points_finds(seed):
    points = cloud(30, seed=seed)
    assert greedy_coreset(points, 9, seed) == k_centre(points, 9, seed)
    rounded = points.round()  # with ties and equal points
    assert greedy_coreset(rounded, 30, seed) == k_centre(rounded, 30, seed)


def test_the_softened_coreset_takes_any_of_the_farthest_points():
    points = np.append(np.zeros(96), [7.0, 8.0, 9.0, 10.0])[:, None]
    second = Counter(greedy_coreset(points, 2, 0, generator(seed))[1] for seed in range(200))
    assert set(second) == {97, 98, 99}  # at or above the 97th percentile
    assert min(second.values()) > 40
    assert sorted(greedy_coreset(np.zeros((6, 2)), 6, 2, generator())) == list(range(6))


def test_the_anchors_of_a_batch_are_those_selected_in_its_own_subset():
    """The published code looks the selected places up in another subset."""
    points = np.zeros((80, 1))
    points[17], points[63] = 100.0, -100.0
    for batch in GreedyCoresetSampler(LABELS, 6, m=2, big_batch=80).plan(40, generator(), lambda: points):
        assert {17, 63} <= set(batch[::2].tolist())


@pytest.mark.parametrize("sampler", CORESETS)
def test_each_anchor_is_followed_by_others_of_its_class(sampler):
    for batch in sampler(LABELS, 24, m=4, big_batch=40).plan(20, generator(), embed):
        assert batch.dtype == np.int64
        assert (LABELS[batch].reshape(6, 4) == LABELS[batch][::4, None]).all()
        assert max(Counter(LABELS[batch].tolist()).values()) > 8 or len(set(batch.tolist())) == 24


def test_a_class_with_too_few_items_repeats_some_beside_an_anchor():
    labels = np.array([0, 1, 1, 1])
    for batch in GreedyCoresetSampler(labels, 6, m=3).plan(20, generator(), lambda: np.eye(4)):
        assert Counter(labels[batch].tolist()) in (Counter({0: 3, 1: 3}), Counter({1: 6}))


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_d2_sampling_weighs_density_and_squared_distance(power):
    points, selected = cloud(12, seed=3), [4, 7, 2]
    densities = log_densities(points, points.mean(axis=0), np.cov(points.T))
    distances = sum(((points - points[s]) ** 2).sum(axis=1) for s in selected)
    found = probabilities(densities, distances, selected, power)
    np.testing.assert_allclose(found, d2_chances(points, selected, power), atol=1e-12)


def test_d2_sampling_knows_flat_and_collapsed_embeddings():
    flat = np.hstack([cloud(80, 2), np.ones((80, 1)), np.zeros((80, 3))])
    for points in (flat, np.ones((80, 5))):
        for batch in D2CoresetSampler(LABELS, 16, m=2, big_batch=30).plan(5, generator(), lambda p=points: p):
            assert len(set(batch[::2].tolist())) == 8


def test_d2_sampling_draws_by_those_chances():
    points = np.array([[0.0], [1.0], [2.0], [4.0]])
    sampler = D2CoresetSampler(np.arange(4), 2, m=1)
    batches = [tuple(batch.tolist()) for batch in sampler.plan(600, generator(), lambda: points)]
    for first in range(4):
        seconds = [second for start, second in batches if start == first]
        expected = len(seconds) * d2_chances(points, [first], 1.0)
        found = np.bincount(seconds, minlength=4)
        assert (np.abs(found - expected) <= 5 * np.sqrt(expected)).all()


def test_the_frechet_distance_of_known_distributions():
    points = cloud()
    assert frechet_distance_to(points)(points) == pytest.approx(0, abs=1e-9)
    assert frechet_distance_to(points)(points + np.array([1, 2, 2])) == pytest.approx(9)
    centred = points - points.mean(axis=0)
    whitened = centred @ np.linalg.inv(np.linalg.cholesky(np.cov(centred.T))).T
    first, second = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.5, 0.5])
    assert frechet_distance_to(whitened * first)(whitened * second) == pytest.approx(((first - second) ** 2).sum())


@pytest.mark.parametrize("dimensions", [1, 3, 20])
def test_the_costs_of_parts_are_what_slow_recomputation_gives(dimensions):
    big, part = cloud(40, dimensions), cloud(12, dimensions, seed=2)
    if dimensions > 1:
        assert frechet_distance_to(big)(part) == pytest.approx(frechet(big, part), rel=1e-5)
    inside = big[:12]
    for of_heights in (False, True):
        found = histogram_cost_to(big, of_heights=of_heights)(inside)
        assert found == pytest.approx(histogram_cost(big, inside, of_heights))


@pytest.mark.parametrize("sampler", MATCHED)
def test_the_best_of_the_candidates_is_taken(sampler):
    """More candidates are closer to the big batch; groups hold different places of one class."""
    labels = np.repeat(np.arange(6), 40)
    points = cloud(240, 2)
    cost = (
        frechet_distance_to if sampler is FIDMatchedSampler else (lambda big: histogram_cost_to(big, of_heights=False))
    )
    means = []
    for candidates in (1, 20):
        batches = sampler(labels, 16, m=4, big_batch=100, candidates=candidates).plan(12, generator(), lambda: points)
        means.append(np.mean([cost(points)(points[batch]) for batch in batches]))
        for batch in batches:
            assert (labels[batch].reshape(4, 4) == labels[batch][::4, None]).all()
    assert means[1] < 0.7 * means[0]


def test_histograms_may_be_compared_as_published():
    plans = [
        DistanceHistogramMatchedSampler(LABELS, 8, big_batch=60, wasserstein=how).plan(5, generator(), embed)
        for how in ("positions", "heights")
    ]
    assert not np.array_equal(*plans)


@pytest.mark.parametrize("sampler", [*CORESETS, *MATCHED])
def test_a_plan_is_a_function_of_generator_and_embeddings_computed_once(sampler):
    calls = []

    def counted():
        calls.append(1)
        return embed()

    made = sampler(LABELS, 8, big_batch=60)
    first, again = (s.plan(6, generator(), counted) for s in (made, sampler(LABELS, 8, big_batch=60)))
    assert len(calls) == 2
    assert np.array_equal(first, again)
    assert np.array_equal(first[:3], made.plan(3, generator(), embed))
    assert not np.array_equal(first, made.plan(6, generator(1), embed))
    assert not np.array_equal(first, made.plan(6, generator(), lambda: cloud(seed=9)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GreedyCoresetSampler(LABELS, 8, m=2, big_batch=3), r"big_batch \(3\) must be at least"),
        (lambda: GreedyCoresetSampler(LABELS, 9, m=2), "multiple of m"),
        (lambda: GreedyCoresetSampler(LABELS[:3], 8).plan(1, generator(), embed), "only 3 items"),
        (lambda: D2CoresetSampler(LABELS, 8, power=-1), "negative"),
        (lambda: FIDMatchedSampler(LABELS, 8, candidates=0), "candidates must be at least 1"),
        (lambda: FIDMatchedSampler(LABELS, 8, m=4, big_batch=3), "big_batch at least m"),
        (lambda: DistanceHistogramMatchedSampler(LABELS, 8, wasserstein="place"), "positions or heights"),
        (lambda: DistanceHistogramMatchedSampler(LABELS[:0], 8), "no items"),
    ],
)
def test_settings_that_cannot_work_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
