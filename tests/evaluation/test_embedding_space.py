"""Measures of the embedding space against their definitions, written out, and the published toys."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from powerbench.evaluation import measure
from powerbench.evaluation.space import rho_spectrum as rho_of_singular_values
from powerbench.evaluation.space import singular_values, spectrum, uniformity
from tests.evaluation.test_measure import clustered


def rho_spectrum(embeddings, mode):
    return rho_of_singular_values(singular_values(embeddings), mode)


TOY = np.array([[np.cos(a), np.sin(a)] for a in np.radians([0, 60, 90, 180])])


def test_distances_of_the_published_toy():
    found = measure(TOY, [0, 0, 1, 1], ["dists@intra", "dists@inter", "dists@intra_over_inter"])
    assert found["dists_intra"] == pytest.approx(0.75)
    assert found["dists_inter"] == pytest.approx(1.258819, abs=1e-6)
    assert found["dists_intra_over_inter"] == pytest.approx(0.595796, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "mode", "expected"),
    [
        ((6, 1, 1), 1, 0.383576), ((6, 1, 1), -1, 0.362990), ((6, 1, 1), 2, 0),
        ((4, 2, 1, 1), 1, 0.173287), ((4, 2, 1, 1), -1, 0.173287), ((4, 2, 1, 1), 2, 0.056633), ((4, 2, 1, 1), 3, 0),
    ],
)  # fmt: skip
def test_spectra_of_the_published_toys(values, mode, expected):
    assert rho_spectrum(np.diag(values), mode) == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(spectrum(np.diag(values)), np.array(values) / sum(values), atol=1e-12)


def test_spectra_of_truncated_toy():
    """The published truncated path sees the values 4, 2 and 1 only."""
    assert rho_spectrum(np.diag([4, 2, 1]), 1) == pytest.approx(0.154151, abs=1e-6)
    assert rho_spectrum(np.diag([4, 2, 1]), -1) == pytest.approx(0.142912, abs=1e-6)
    assert rho_spectrum(np.diag([4, 2, 1]), 2) == pytest.approx(0.058892, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(1, 40),
    width=st.integers(1, 12),
    modes=st.lists(st.integers(-13, 13).filter(bool), min_size=1, max_size=4, unique=True),
    smallest=st.floats(0.01, 1),
    seed=st.integers(0, 10**6),
)
def test_spectra_are_those_of_a_full_svd(count, width, modes, smallest, seed):
    x = np.random.default_rng(seed).normal(size=(count, width)) * np.linspace(1, smallest, width)
    found = measure(x, np.arange(count), [f"rho_spectrum@{mode}" for mode in modes])
    for mode, value in zip(modes, found.values(), strict=True):
        s = np.linalg.svd(x, compute_uv=False)[abs(mode) - 1 :]
        uniform = np.full(len(s), 1 / max(1, len(s)))
        expected = entropy(*((uniform, s) if mode > 0 else (s, uniform))) if len(s) else np.nan
        assert value == pytest.approx(expected, abs=1e-8, nan_ok=True)


def test_collapsed_spectra():
    assert rho_spectrum(np.ones((6, 3)), -1) == pytest.approx(np.log(3))
    assert rho_spectrum(np.eye(3) * [1, 1, 0], 1) == np.inf
    assert np.isnan(rho_spectrum(np.zeros((4, 3)), 1))
    assert np.isnan(rho_spectrum(np.eye(3), 9))
    with pytest.raises(ValueError, match="spectrum itself"):
        rho_spectrum(np.eye(3), 0)


def test_distances_alignment_and_uniformity_as_defined():
    x, labels = clustered(6, [1, 2, 3, 4, 5, 6], normalise=False)
    unit = x.astype(float) / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
    pairs = [(i, j) for i in range(len(x)) for j in range(i)]
    squared = {(i, j): ((unit[i] - unit[j]) ** 2).sum() for i, j in pairs}
    within = {c: [squared[p] / 2 for p in pairs if labels[p[0]] == labels[p[1]] == c] for c in range(1, 6)}
    centres = np.stack([unit[labels == c].mean(axis=0) for c in range(6)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    between = [1 - centres[i] @ centres[j] for i in range(6) for j in range(i)]
    found = measure(x, labels, ["dists_intra", "dists_inter", "alignment", "uniformity"])
    assert found["dists_intra"] == pytest.approx(np.mean([np.mean(some) for some in within.values()]), abs=1e-12)
    assert found["dists_inter"] == pytest.approx(np.mean(between), abs=1e-12)
    assert found["alignment"] == pytest.approx(np.mean([2 * d for some in within.values() for d in some]), abs=1e-12)
    assert found["uniformity"] == pytest.approx(
        np.log(np.mean(np.exp(-2 * np.array(list(squared.values()))))), abs=1e-12
    )


def test_uniformity_in_blocks(monkeypatch):
    x, _ = clustered(6, 7)
    expected = uniformity(x)
    monkeypatch.setattr("powerbench.evaluation.space.ROWS_AT_A_TIME", 5)
    assert uniformity(x) == pytest.approx(expected, abs=1e-12)


def test_nothing_to_describe():
    found = measure(np.eye(2), [0, 1], ["dists_intra", "alignment"])
    assert np.isnan(list(found.values())).all()
    assert np.isnan(uniformity(np.ones((1, 2))))
    assert np.isnan(measure(np.eye(2), [0, 0], ["dists_inter"])["dists_inter"])
    every = ["dists_intra", "dists_inter", "dists_intra_over_inter", "uniformity", "alignment", "rho_spectrum@2"]
    assert np.isnan(list(measure(np.empty((0, 3)), [], every).values())).all()
