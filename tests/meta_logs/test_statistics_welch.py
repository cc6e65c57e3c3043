import numpy as np
import pytest
import scipy.stats

from meta_logs.statistics.welch import welch


@pytest.mark.parametrize(("n", "m"), [(2, 2), (2, 10), (5, 5), (10, 3)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_is_that_of_scipy(n, m, confidence):
    generator = np.random.default_rng((n, m))
    for scale in (1e-3, 1.0, 40.0):
        first, second = generator.normal(0.4, 0.01, n), generator.normal(0.41, 0.01 * scale, m)
        expected = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
        found = welch(list(first), list(second), confidence)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-10, abs=1e-14)
        assert found.mean == pytest.approx(first.mean() - second.mean(), abs=1e-15)
        assert found.contains_zero == (expected.low <= 0 <= expected.high)


def test_by_hand():
    # means 2 and 5, variances 1 and 4 of three values each: squared error 5/3, degrees 200/68, t 3.22405
    found = welch([1, 2, 3], [3, 5, 7])
    half = scipy.stats.t.ppf(0.975, 200 / 68) * (5 / 3) ** 0.5
    assert (found.mean, found.half_width) == (-3, pytest.approx(half))


@pytest.mark.parametrize(
    ("first", "second"),
    [([], [1, 2]), ([1], [1, 2]), ([1, 2], [3]), ([1, float("nan")], [1, 2]), ([1, 2], [1, np.inf])],
)
def test_nothing_is_said_from_too_few_or_from_no_numbers(first, second):
    assert welch(first, second) is None


def test_without_scatter_the_interval_is_the_difference():
    equal, other = welch([0.1] * 3, [0.1] * 3), welch([0.3] * 3, [0.1] * 2)
    assert (equal.low, equal.high, equal.contains_zero) == (0, 0, True)
    assert other.low == other.high == other.mean > 0
    assert not other.contains_zero


def test_scatter_on_one_side_only_counts_alone():
    found = welch([1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0])
    expected = scipy.stats.t.interval(0.95, 3, loc=1 - 2.5, scale=scipy.stats.sem([1, 2, 3, 4]))
    assert (found.low, found.high) == pytest.approx(expected)
