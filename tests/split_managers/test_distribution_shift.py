"""Distances and walks against values worked out by hand or recomputed the slow way."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from split_managers.distribution_shift import Walk, frechet_distance, removal_phase, swap_phase

PLACES = {
    "a": (0, 0.3), "b": (1.2, 2.1), "c": (2.5, -1.4), "d": (7.4, 3.3), "e": (3.1, 1.7), "f": (6.2, -2.6),
    "g": (9.3, 1.1), "h": (10.6, -0.8), "i": (8.1, 4.2), "j": (2.9, 5.3), "k": (11.7, 2.4), "l": (4.6, -3.9),
}  # fmt: skip
NAMES = list(PLACES)
POINTS = np.array(list(PLACES.values()))
TRAIN, TEST = range(6), range(6, 12)


def column(*values):
    return np.array(values, dtype=float)[:, None]


def slow_distance(train, test, eps=1e-8):
    apart = train.mean(0) - test.mean(0)
    first, second = (np.cov(side.T, ddof=1).reshape(train.shape[1], -1) for side in (train, test))
    floor = eps * np.eye(len(first))
    root = sqrtm((first + floor) @ (second + floor))
    return float(apart @ apart + np.trace(first) + np.trace(second) - 2 * np.trace(np.real(root)))


def told(states):
    return [
        (
            s.raw_id,
            "".join(NAMES[i] for i in s.train),
            "".join(NAMES[i] for i in s.test),
            pytest.approx(s.fid, abs=1e-5),
        )
        for s in states
    ]


@pytest.mark.parametrize(
    ("train", "test", "distance"),
    [
        (column(0, 1, 2, 9), column(10, 11, 12, 3), 36),
        (column(0, 1, 2, 3), column(10, 11, 12, 9), 81),
        (column(0, 1, 2), column(10, 11, 12), 100),
        (
            np.array([(0, 0), (2, 0), (0, 2), (2, 2)], dtype=float),
            np.array([(3, 0), (5, 0), (3, 4), (5, 4)], dtype=float),
            10 + 8 / 3 + 20 / 3 - 8,
        ),
        (POINTS, POINTS, 0),
        (POINTS, POINTS + np.array([3, -4]), 25),
    ],
)
def test_distances_worked_out_by_hand(train, test, distance):
    assert frechet_distance(train, test) == pytest.approx(distance, abs=1e-9)


def test_the_distance_is_the_published_one_without_its_matrix_root():
    random = np.random.RandomState(0)
    for (count, width), with_root, without in (
        ((30, 8), 0.776957874, 0.776958055),
        ((20, 64), 29.114370163, 29.114378654),
        ((98, 256), 112.164888764, 112.164919187),
    ):
        train = 0.5 * random.randn(count, width)
        test = 0.7 * random.randn(count, width) + 0.2
        assert frechet_distance(train, test) == pytest.approx(without, abs=1e-8)
        assert slow_distance(train, test) == pytest.approx(with_root, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(8, 14), st.integers(8, 14), st.integers(1, 6), st.integers(0, 10**6))
def test_the_distance_of_any_sides(first, second, width, seed):
    generator = np.random.default_rng(seed)
    train, test = generator.normal(size=(first, width)), generator.normal(1, 2, size=(second, width))
    found = frechet_distance(train, test)
    assert found == pytest.approx(slow_distance(train, test), rel=1e-3, abs=1e-3)
    assert found == pytest.approx(frechet_distance(test, train))


def test_a_distance_needs_two_classes_on_each_side():
    with pytest.raises(ValueError, match="at least two classes"):
        frechet_distance(column(1), column(2, 3))


@pytest.mark.parametrize(
    ("walk", "iterations", "states"),
    [
        (
            Walk(1, 5),
            4,
            [
                ("0", "abcdef", "ghijkl", 22.300827),
                ("1", "abclef", "ghijkd", 40.287284),
                ("2", "abclej", "ghifkd", 43.711376),
                ("3", "abclij", "ghefkd", 25.223991),
                ("4", "abhlij", "gcefkd", 7.911382),
            ],
        ),
        (
            Walk(1, 1),
            4,
            [
                ("0", "abcdef", "ghijkl", 22.300827),
                ("1", "abclef", "ghijkd", 40.287284),
                ("2", "abclej", "ghifkd", 43.711376),
                ("3", "abcdej", "ghifkl", 35.141872),
                ("4", "abidej", "ghcfkl", 27.756651),
            ],
        ),
        (
            Walk(2, 5),
            3,
            [
                ("0", "abcdef", "ghijkl", 22.300827),
                ("2", "abclej", "ghifkd", 43.711376),
                ("4", "abhlij", "gcefkd", 7.911382),
                ("6", "kghlij", "bcefad", 22.300827),
            ],
        ),
    ],
)
def test_exchanges_that_make_a_split_harder(walk, iterations, states):
    assert told(swap_phase(POINTS, NAMES, TRAIN, TEST, iterations, walk)) == states


def test_exchanges_that_make_a_split_easier():
    assert told(swap_phase(POINTS, NAMES, TRAIN, TEST, 3, Walk(1, 30), inverse=True)) == [
        ("0", "abcdef", "ghijkl", 22.300827),
        ("-1", "kbcdef", "ghijal", 1.869930),
        ("-2", "kbgdef", "chijal", 5.487996),
        ("-3", "kbglef", "chijad", 3.469799),
    ]


def test_the_class_nearest_to_the_other_side_is_exchanged_first():
    points = column(0, 1, 2, 9, 10, 11, 12, 3)
    states = list(swap_phase(points, list("abcdefgh"), range(4), range(4, 8), 1, Walk(1, 5)))
    assert [state.fid for state in states] == pytest.approx([36, 81])
    assert (states[1].train, states[1].test) == ((0, 1, 2, 7), (4, 5, 6, 3))


def test_exchanges_and_deletions_as_published():
    assert told(removal_phase(POINTS, NAMES, TRAIN, TEST, 5, Walk(1, 5), monotone=False)) == [
        ("R0", "abcdef", "ghijkl", 22.300827),
        ("R1", "abcef", "ghijk", 42.303881),
        ("R2", "abce", "ghik", 69.316360),
        ("R3", "abie", "ghck", 33.235959),
        ("R4", "gbie", "ahck", 9.233785),
        ("R5", "gie", "ack", 17.808432),
    ]
    assert told(removal_phase(POINTS, NAMES, TRAIN, TEST, 2, Walk(2, 5), monotone=False)) == [
        ("R0", "abcdef", "ghijkl", 22.300827),
        ("R2", "abce", "ghik", 69.316360),
        ("R4", "ahie", "gbck", 1.424240),
    ]


def test_exchanges_and_deletions_that_only_raise_the_distance():
    assert told(removal_phase(POINTS, NAMES, TRAIN, TEST, 5, Walk(1, 5), monotone=True)) == [
        ("R0", "abcdef", "ghijkl", 22.300827),
        ("R1", "abclef", "ghijkd", 40.287284),
        ("R2", "abclej", "ghifkd", 43.711376),
        ("R3", "abclj", "ghfkd", 49.114220),
        ("R4", "ablj", "ghfk", 61.740736),
        ("R5", "alj", "hfk", 62.433771),
    ]


@pytest.mark.parametrize(
    ("points", "monotone", "distance", "train"),
    [
        ((0, 1, 2, 9, 10, 11, 12, 3), False, 100, (0, 1, 2)),
        ((0, 1, 2, 9, 10, 11, 12, 3), True, 81, (0, 1, 2, 7)),
        ((0, 1, 2, 3, 10, 11, 12, 9), False, 36, (0, 1, 2, 7)),
        ((0, 1, 2, 3, 10, 11, 12, 9), True, 100, (0, 1, 2)),
    ],
)
def test_one_step_of_each_mode(points, monotone, distance, train):
    states = list(removal_phase(column(*points), NAMES, range(4), range(4, 8), 1, Walk(1, 5), monotone=monotone))
    assert states[1].fid == pytest.approx(distance)
    assert states[1].train == train


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(8, 14), swaps=st.integers(1, 3), monotone=st.booleans())
def test_what_every_walk_keeps(seed, count, swaps, monotone):
    points = np.random.default_rng(seed).normal(size=(2 * count, 4))
    names = [f"{n:02d}" for n in range(2 * count)]
    walk = Walk(swaps, 3)
    harder = list(swap_phase(points, names, range(count), range(count, 2 * count), 5, walk))
    further = list(removal_phase(points, names, range(count), range(count, 2 * count), 8, walk, monotone=monotone))
    assert harder[0].train == tuple(range(count))
    for state in harder:
        exact = frechet_distance(points[list(state.train)], points[list(state.test)])
        assert state.fid == float(f"{exact:.12g}") == pytest.approx(exact, rel=1e-11)
        assert sorted(state.train + state.test) == list(range(2 * count))
        assert len(state.train) == count
    for before, after in itertools.pairwise(further):
        assert len(after.train) == len(after.test)
        assert not set(after.train) & set(after.test)
        assert set(after.train + after.test) <= set(before.train + before.test)
        if monotone and len(after.train) == len(before.train):
            assert after.fid > before.fid


def test_tied_scores_are_ordered_by_class_name():
    points = np.tile(np.array([[0.0, 1.0], [0.0, -1.0]]), (4, 1)) + np.repeat([[0, 0], [5, 0]], 4, axis=0)
    for names in (list("dbcahfge"), list("abcdefgh")):
        state = list(swap_phase(points, names, range(4), range(4, 8), 1, Walk(1, 5)))[1]
        moved = names[next(iter(set(state.train) - set(range(4))))]
        assert moved == "e"


def test_a_history_that_blocks_everything_is_refused():
    with pytest.raises(ValueError, match="a history of 9 blocks all 6 positions"):
        list(swap_phase(POINTS, NAMES, TRAIN, TEST, 7, Walk(1, 9)))
    with pytest.raises(ValueError, match="must be 1 or more"):
        Walk(0, 5)
    assert len(list(removal_phase(POINTS, NAMES, TRAIN, TEST, 50, Walk(1, 9), monotone=False))) < 10
