"""Samplers that look at labels only: their guarantees, and the published figures."""

from collections import Counter

import numpy as np
import pytest

from powerbench.class_folders import own_names
from powerbench.data.samplers.adaptive_balanced_sampler import AdaptiveBalancedSampler
from powerbench.data.samplers.balanced_sampler import BalancedSampler
from powerbench.data.samplers.class_cursors import ClassCursors
from powerbench.data.samplers.class_random_sampler import ClassRandomSampler
from powerbench.data.samplers.full_random_sampler import FullRandomSampler
from powerbench.data.samplers.hierarchical_sampler import HierarchicalSampler
from powerbench.data.samplers.m_per_class_sampler import MPerClassSampler
from powerbench.data.samplers.m_per_class_with_replacement_sampler import MPerClassWithReplacementSampler
from powerbench.errors import UserError

SKEWED = np.repeat(np.arange(6), [1, 2, 5, 10, 40, 200])


def generator(seed=0):
    return np.random.default_rng(seed)


def plan(sampler, n, seed=0):
    return sampler.plan(n, generator(seed))


def per_class(labels, batches):
    return np.bincount(labels[np.concatenate(batches)], minlength=labels.max() + 1)


def even(counts, total, sigmas=5):
    """Whether counts are what ``total`` uniform draws give."""
    share = total / len(counts)
    return (np.abs(counts - share) < sigmas * np.sqrt(share)).all()


def test_an_epoch_of_m_per_class_shows_every_item_and_the_published_one_does_not():
    """The case of pytorch-metric-learning's issues 684 and 725: 100 classes of 59 items, an epoch of 5900."""
    labels = np.repeat(np.arange(100), 59)
    for batch_size, m in ((32, 4), (100, 5)):
        batches = -(-(-(-59 // m) * 100) // (batch_size // m))  # ceil(ceil(59 / m) * classes / classes a batch)
        drawn = plan(MPerClassSampler(labels, batch_size, m), batches)
        assert set(np.concatenate(drawn).tolist()) == set(range(5900))
        turns = per_class(labels, drawn) // m
        assert turns.max() - turns.min() <= 1
    published = plan(MPerClassWithReplacementSampler(labels, 32, 4), 184)
    assert 0.6 < len(set(np.concatenate(published).tolist())) / 5900 < 0.68
    turns = per_class(labels, published) // 4
    assert turns.max() - turns.min() > 10
    assert even(turns, 184 * 8)


@pytest.mark.parametrize("seed", range(3))
def test_no_item_comes_again_before_all_of_its_class_have_come(seed):
    labels = np.repeat(np.arange(5), [4, 5, 7, 9, 30])
    seen = [Counter() for _ in range(5)]
    for batch in plan(MPerClassSampler(labels, 12, m=4), 60, seed):
        for label in np.unique(labels[batch]):
            inside = batch[labels[batch] == label].tolist()
            seen[label].update(inside)
            counts = [seen[label][item] for item in np.flatnonzero(labels == label).tolist()]
            assert max(counts) - min(counts) <= 1


def test_m_per_class_with_replacement_has_distinct_classes_and_items_where_it_can():
    batches = plan(MPerClassWithReplacementSampler(SKEWED, 12, m=4), 100)
    for batch in batches:
        groups = batch.reshape(3, 4)
        assert len(set(SKEWED[groups[:, 0]].tolist())) == 3
        assert (SKEWED[groups] == SKEWED[groups[:, :1]]).all()
        assert all(len(set(group.tolist())) == 4 for group in groups if SKEWED[group[0]] > 1)
    assert even(per_class(SKEWED, batches) // 4, 300)


def test_class_random_draws_classes_and_items_with_replacement():
    """Oracle: exactly batch_size / m groups of one class each; classes uniform."""
    batches = plan(ClassRandomSampler(SKEWED, 12, m=4), 1000)
    groups = np.array(batches).reshape(-1, 4)
    assert (SKEWED[groups] == SKEWED[groups[:, :1]]).all()
    assert even(per_class(SKEWED, batches) // 4, 3000)
    assert any(len({SKEWED[item] for item in batch}) < 3 for batch in batches)
    large = groups[SKEWED[groups[:, 0]] == 3]
    repeats = np.mean([len(set(group.tolist())) < 4 for group in large])
    assert repeats == pytest.approx(1 - 0.9 * 0.8 * 0.7, abs=0.1)


def test_full_random_draws_classes_uniformly_and_ends_with_a_pair():
    batches = plan(FullRandomSampler(SKEWED, 4), 3000)
    assert all(SKEWED[batch[-1]] in SKEWED[batch[:-1]] for batch in batches)
    assert even(per_class(SKEWED, batches), 12000, sigmas=6)
    items = np.bincount(np.array(batches)[:, 0], minlength=len(SKEWED))[SKEWED == 3]
    assert even(items, items.sum())


def hierarchy(supers=4, classes=5, per_class=6):
    labels = np.repeat(np.arange(supers * classes), per_class)
    return labels, np.stack([labels, labels % supers], axis=1)


def test_hierarchical_batches_share_few_super_classes_equally():
    labels, levels = hierarchy()
    batches = plan(HierarchicalSampler(labels, 24, levels, m=3), 12)
    for batch in batches:
        supers = levels[batch, 1]
        assert sorted(Counter(supers.tolist()).values()) == [12, 12]
        assert (supers[:12] == supers[0]).all()
        assert set(Counter(labels[batch].tolist()).values()) == {3}
        assert len(set(batch.tolist())) == 24
    for part in (batches[:6], batches[6:]):  # four super-classes have six pairs, each once a pass
        assert len({tuple(sorted(set(levels[batch, 1].tolist()))) for batch in part}) == 6
    turns = per_class(labels, batches)
    for label in range(4):
        assert np.ptp(turns[np.arange(20) % 4 == label]) <= 3


def test_a_super_class_with_few_classes_still_fills_its_share():
    labels = np.repeat(np.arange(5), 10)
    levels = np.stack([labels, (labels > 0).astype(int)], axis=1)
    for batch in plan(HierarchicalSampler(labels, 16, levels, m=4), 10):
        counts = Counter(labels[batch].tolist())
        assert counts[0] == 8
        assert len(set(batch.tolist())) == 16


def test_super_classes_may_be_any_level_and_any_number():
    labels, levels = hierarchy()
    levels = np.stack([labels, labels, labels % 4], axis=1)
    for batch in plan(HierarchicalSampler(labels, 24, levels, m=2, super_classes_per_batch=3, super_level=2), 5):
        assert sorted(Counter(levels[batch, 2].tolist()).values()) == [8, 8, 8]


def test_cursors_give_each_item_once_until_the_rest_is_too_short():
    cursors = ClassCursors([np.arange(7)], generator())
    first = cursors.take(0, 3) + cursors.take(0, 3)
    assert len(set(first)) == 6
    assert len(set(cursors.take(0, 3))) == 3  # one is left: drawn from the whole class, and the list starts again
    again = cursors.take(0, 3) + cursors.take(0, 4)
    assert len(set(again)) == 7
    assert len(cursors.take(0, 9)) == 9


@pytest.mark.parametrize("sampler", [BalancedSampler, AdaptiveBalancedSampler])
def test_balanced_batches_have_distinct_classes_and_items(sampler):
    labels = np.repeat(np.arange(50), 7)
    batches = plan(sampler(labels, 80, m=2), 40)
    for batch in batches:
        assert len(set(batch.tolist())) == 80
        assert (labels[batch].reshape(40, 2) == labels[batch][::2, None]).all()
        assert len(set(labels[batch].tolist())) == 40
    assert even(per_class(labels, batches) // 2, 1600)


def test_balanced_batches_repeat_classes_only_if_there_are_too_few():
    batches = plan(BalancedSampler(np.repeat(np.arange(3), 20), 16, m=4), 50)
    turns = [sorted(Counter((np.array(batch)[::4] // 20).tolist()).values()) for batch in batches]
    assert {len(t) for t in turns} >= {2, 3}


@pytest.mark.parametrize(
    ("batch_size", "m", "classes", "expected"),
    [
        (80, 2, 40, {2: 40}),
        (80, 2, 60, {2: 40}),
        (80, 2, 7, {11: 4, 12: 3}),
        (128, 4, 10, {12: 2, 13: 8}),
    ],
)
@pytest.mark.parametrize("action", ["sample_other", "duplicate", "smaller_batch"])
def test_the_published_sizes_of_adaptive_batches(batch_size, m, classes, expected, action):
    labels = np.repeat(np.arange(classes), 30)
    for batch in plan(AdaptiveBalancedSampler(labels, batch_size, m, small_class_action=action), 20):
        assert len(set(batch.tolist())) == batch_size
        assert Counter(Counter(labels[batch].tolist()).values()) == Counter(expected)


def test_what_happens_with_small_classes():
    def batches(action):
        return plan(AdaptiveBalancedSampler(SKEWED, 24, m=4, small_class_action=action), 50)

    for batch in batches("sample_other"):
        assert len(batch) == len(set(batch.tolist())) == 24
        assert {0, 1, 2} <= set(batch.tolist())  # all of the classes with one and two items
    for batch in batches("smaller_batch"):
        assert Counter(SKEWED[batch].tolist()) == Counter({0: 1, 1: 2, 2: 4, 3: 4, 4: 4, 5: 4})
        assert len(set(batch.tolist())) == 19
    for batch in batches("duplicate"):
        assert Counter(SKEWED[batch].tolist()) == Counter(dict.fromkeys(range(6), 4))


def test_sampling_others_repeats_items_only_if_there_are_too_few():
    labels = np.array([0, 0, 1, 1, 1])
    for batch in plan(AdaptiveBalancedSampler(labels, 8, m=4), 10):
        assert len(batch) == 8
        assert set(batch.tolist()) == set(range(5))


def test_replicas_repeat_the_whole_batch():
    labels = np.repeat(np.arange(10), 9)
    for batch in plan(AdaptiveBalancedSampler(labels, 24, m=4, num_replicas=2), 10):
        assert np.array_equal(batch[:12], batch[12:])
        assert len(set(batch.tolist())) == 12


LABELS, LEVELS = hierarchy()


@pytest.mark.parametrize(
    "make",
    [
        lambda: MPerClassWithReplacementSampler(LABELS, 8),
        lambda: ClassRandomSampler(LABELS, 8),
        lambda: FullRandomSampler(LABELS, 8),
        lambda: HierarchicalSampler(LABELS, 8, LEVELS),
        lambda: BalancedSampler(LABELS, 8),
        lambda: AdaptiveBalancedSampler(LABELS, 8),
    ],
)
def test_a_plan_is_a_function_of_the_generator_alone(make):
    sampler = make()
    first = plan(sampler, 6)
    np.random.seed(5)
    assert np.array_equal(first, plan(sampler, 6))
    assert np.array_equal(first, plan(make(), 6))
    assert np.array_equal(first[:3], plan(sampler, 3))
    assert not np.array_equal(first, plan(sampler, 6, seed=1))
    assert all(batch.dtype == np.int64 for batch in first)
    assert plan(sampler, 0) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plan(MPerClassWithReplacementSampler(SKEWED, 28), 1), "needs 7 classes, but there are 6"),
        (lambda: ClassRandomSampler(LABELS, 9), "multiple of m"),
        (lambda: ClassRandomSampler(LABELS[:0], 8), "no items"),
        (lambda: FullRandomSampler(LABELS, 1), "at least 2"),
        (lambda: HierarchicalSampler(LABELS, 12, LEVELS), "m x super_classes_per_batch"),
        (lambda: HierarchicalSampler(LABELS, 8, LEVELS, super_classes_per_batch=0), "at least 1"),
        (lambda: plan(HierarchicalSampler(LABELS, 8, LEVELS[:, :1]), 1), "no label level 1; the dataset has 1"),
        (lambda: plan(HierarchicalSampler(LABELS % 10, 8, LEVELS % 3), 1), "cuts through classes"),
        (lambda: plan(HierarchicalSampler(LABELS, 20, LEVELS, super_classes_per_batch=5), 1), "there are 4"),
        (lambda: BalancedSampler(LABELS, 9), "multiple of m"),
        (lambda: AdaptiveBalancedSampler(LABELS, 8, small_class_action="others"), "Did you mean sample_other"),
        (lambda: AdaptiveBalancedSampler(LABELS, 8, num_replicas=3), "multiple of num_replicas"),
        (lambda: AdaptiveBalancedSampler(LABELS, 12, num_replicas=2), "multiple of m"),
        (lambda: plan(AdaptiveBalancedSampler(np.zeros(9), 8), 1), "two classes"),
        (lambda: plan(AdaptiveBalancedSampler(LABELS, 8, m=8), 1), "a batch takes 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_the_names_of_samplers_are_those_of_samplers_alone():
    assert own_names("sampler") == [
        "AdaptiveBalancedSampler",
        "BalancedSampler",
        "ClassRandomSampler",
        "D2CoresetSampler",
        "DistanceHistogramMatchedSampler",
        "FIDMatchedSampler",
        "FullRandomSampler",
        "GreedyCoresetSampler",
        "HierarchicalSampler",
        "MPerClassSampler",
        "MPerClassWithReplacementSampler",
        "RandomSampler",
    ]
