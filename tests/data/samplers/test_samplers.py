from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerbench.data.samplers.m_per_class_sampler import MPerClassSampler
from powerbench.data.samplers.random_sampler import RandomSampler
from powerbench.data.samplers.shuffled_passes import ShuffledPasses
from powerbench.errors import UserError


def generator(seed=0):
    return np.random.default_rng(seed)


def plan(sampler, n, seed=0):
    return sampler.plan(n, generator(seed))


def test_a_batch_holds_m_distinct_items_of_distinct_classes():
    labels = np.repeat(np.arange(10) * 7, 9)
    batches = plan(MPerClassSampler(labels, batch_size=32, m=4), 50)
    assert len(batches) == 50
    for batch in batches:
        assert batch.dtype == np.int64
        assert len(batch) == len(set(batch.tolist())) == 32
        assert set(Counter(labels[batch].tolist()).values()) == {4}
        assert (labels[batch].reshape(8, 4) == labels[batch][::4, None]).all()


def test_in_the_long_run_classes_and_their_items_are_drawn_equally_often():
    labels = np.repeat(np.arange(5), [4, 5, 7, 9, 30])
    drawn = np.concatenate(plan(MPerClassSampler(labels, batch_size=12, m=4), 100))
    per_class = np.bincount(labels[drawn])
    assert per_class.tolist() == [4 * 60] * 5
    per_item = np.bincount(drawn)
    for label in range(5):
        counts = per_item[labels == label]
        assert counts.max() - counts.min() <= 2


def test_every_class_is_seen_once_before_any_is_seen_again():
    labels = np.repeat(np.arange(12), 3)
    drawn = labels[np.concatenate(plan(MPerClassSampler(labels, batch_size=4, m=1), 9))].reshape(3, 12)
    assert all(sorted(row.tolist()) == list(range(12)) for row in drawn)


def test_a_class_with_too_few_items_gives_each_once_and_then_again():
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    for batch in plan(MPerClassSampler(labels, batch_size=8, m=4), 20):
        counts = Counter(batch.tolist())
        assert sorted(counts[item] for item in range(3)) == [1, 1, 2]
        assert len({item for item in counts if item >= 3}) == 4


def test_more_turns_than_classes_are_shared_evenly():
    labels = np.repeat(np.arange(3), 20)
    for batch in plan(MPerClassSampler(labels, batch_size=16, m=2), 20):
        assert sorted(Counter(labels[batch].tolist()).values()) == [4, 6, 6]
        assert len(set(batch.tolist())) == 16


def test_one_class_alone_can_be_sampled():
    batches = plan(MPerClassSampler(np.zeros(5, dtype=int), batch_size=4, m=4), 3)
    assert all(len(set(batch.tolist())) == 4 for batch in batches)


@pytest.mark.parametrize(
    "make", [lambda: MPerClassSampler(np.arange(40) // 4, 8, m=2), lambda: RandomSampler(np.arange(40), 8)]
)
def test_the_plan_is_a_function_of_the_generator_alone(make):
    sampler = make()
    first, again, other = plan(sampler, 6), plan(sampler, 6), plan(sampler, 6, seed=1)
    np.random.seed(5)
    elsewhere = plan(make(), 6)
    assert np.array_equal(first, again)
    assert np.array_equal(first, elsewhere)
    assert not np.array_equal(first, other)
    assert np.array_equal(plan(sampler, 3), first[:3])
    assert plan(sampler, 0) == []


def test_random_batches_pass_over_all_items():
    labels = np.zeros(20)
    drawn = np.concatenate(plan(RandomSampler(labels, 8), 15))
    assert np.bincount(drawn).tolist() == [6] * 20
    for batch in plan(RandomSampler(labels, 8), 15):
        assert len(set(batch.tolist())) == 8
    assert sorted(plan(RandomSampler(np.zeros(3), 5), 1)[0].tolist()).__len__() == 5


@settings(max_examples=100, deadline=None)
@given(values=st.integers(1, 12), counts=st.lists(st.integers(0, 30), max_size=8), seed=st.integers(0, 3))
def test_passes_give_different_values_and_even_counts(values, counts, seed):
    passes = ShuffledPasses(np.arange(values) + 100, generator(seed))
    total = Counter()
    for count in counts:
        taken = passes.take(count)
        assert len(taken) == count
        times = Counter(taken)
        assert max(times.values(), default=0) - min(times[v] for v in range(100, 100 + values)) <= 1
        total.update(taken)
    spread = [total[v] for v in range(100, 100 + values)]
    assert max(spread) - min(spread) <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MPerClassSampler(np.arange(9), 10, m=4), r"batch_size \(10\) must be a positive multiple of m \(4\)"),
        (lambda: MPerClassSampler(np.arange(9), 8, m=0), "multiple of m"),
        (lambda: MPerClassSampler(np.arange(9), 0, m=4), "multiple of m"),
        (lambda: MPerClassSampler(np.array([]), 8), "no items"),
        (lambda: MPerClassSampler(np.arange(9), 8, length_before_new_iter="long"), "dataset_length, not 'long'"),
        (lambda: RandomSampler(np.arange(9), 0), "at least 1"),
        (lambda: RandomSampler(np.array([]), 8), "no items"),
    ],
)
def test_settings_that_cannot_work_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_the_published_length_is_accepted_without_effect():
    labels = np.arange(40) // 4
    for length in (100000, "dataset_length", None):
        sampler = MPerClassSampler(labels, 8, length_before_new_iter=length)
        assert np.array_equal(plan(sampler, 5), plan(MPerClassSampler(labels, 8), 5))
