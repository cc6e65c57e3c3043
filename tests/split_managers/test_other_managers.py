"""Closed-set, index and train/validation split managers, and helpers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from split_managers.class_disjoint_split_manager import ClassDisjointSplitManager
from split_managers.closed_set_split_manager import ClosedSetSplitManager
from split_managers.index_split_manager import IndexSplitManager
from split_managers.mlrc_split_manager import MLRCSplitManager
from split_managers.predefined_split_manager import PredefinedSplitManager
from split_managers.share_of_classes_split_manager import ShareOfClassesSplitManager
from split_managers.train_val_split_manager import TrainValSplitManager
from tests.split_managers.indices import LABELS, SHOP, index_of


def counts(index, items, classes=7):
    return np.bincount(index.labels[items, 0], minlength=classes)


@settings(max_examples=80, deadline=None)
@given(labels=LABELS, size=st.floats(0.05, 0.9), partitions=st.integers(2, 5), seed=st.integers(0, 3))
def test_a_closed_set_split_is_stratified(labels, size, partitions, seed):
    index = index_of(labels)
    manager = ClosedSetSplitManager(size, 0.5, partitions, partitions, random_seed=seed)
    total = np.bincount(labels, minlength=7)
    if len(labels) - math.ceil(round(size * len(labels), 9)) < partitions:
        with pytest.raises(ValueError, match="empty"):
            manager.folds(index)
        return
    folds = manager.folds(index)
    test = folds[0].tests["test"].query
    assert len(test) == math.ceil(round(size * len(labels), 9))
    assert (np.abs(counts(index, test) - size * total) < 1).all()
    rest = total - counts(index, test)
    validated = np.concatenate([fold.val for fold in folds])
    assert sorted([*test, *validated]) == list(range(len(labels)))
    for fold in folds:
        assert (np.abs(counts(index, fold.val) - rest / partitions) < 1).all()
        assert sorted([*fold.train, *fold.val, *test]) == list(range(len(labels)))


def test_a_closed_set_split_depends_on_its_seed_only():
    index = index_of(np.arange(60) % 5)
    checksums = [ClosedSetSplitManager(random_seed=seed).folds(index)[0].checksum() for seed in (0, 0, 1)]
    assert checksums[0] == checksums[1] != checksums[2]
    assert ClosedSetSplitManager().scheme == "ClosedSetTest50_Partitions4"
    with pytest.raises(ValueError, match="random_seed must be a whole number"):
        ClosedSetSplitManager(random_seed=None)
    with pytest.raises(ValueError, match="test_size must be between 0 and 1"):
        ClosedSetSplitManager(test_size=0)


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, size=st.floats(0.05, 0.7), start=st.floats(0, 0.99), partitions=st.integers(2, 4))
def test_an_index_split_cuts_items_in_their_order(labels, size, start, partitions):
    index = index_of(labels)
    count = len(labels)
    in_test = math.ceil(round(size * count, 9))
    manager = IndexSplitManager(size, start, partitions, partitions)
    if count - in_test < partitions:
        with pytest.raises(ValueError, match="items beside the test set are too few"):
            manager.folds(index)
        return
    folds = manager.folds(index)
    first = math.floor(round(start * count, 9))
    expected = {(first + place) % count for place in range(in_test)}
    assert set(folds[0].tests["test"].query) == expected
    assert sorted(np.concatenate([fold.val for fold in folds])) == sorted(set(range(count)) - expected)
    lengths = {len(fold.val) for fold in folds}
    assert max(lengths) - min(lengths) <= 1
    assert folds[0].name.startswith("IndexTest")


@settings(max_examples=80, deadline=None)
@given(labels=LABELS, fraction=st.floats(0.05, 0.95), by_samples=st.booleans(), shuffle=st.booleans())
def test_a_train_val_split_takes_a_fraction(labels, fraction, by_samples, shuffle):
    index = index_of(labels)
    manager = TrainValSplitManager(
        tv_split_perc=fraction, tv_split_by_samples=by_samples, test_size=0.3, test_start_idx=0.7, shuffle=shuffle
    )
    classes = np.unique(labels)
    test = {
        int(c)
        for c in np.roll(classes, -math.floor(round(0.7 * len(classes), 9)))[: math.ceil(round(0.3 * len(classes), 9))]
    }
    rest = [int(c) for c in classes if c not in test]
    own = [labels.count(label) for label in rest]
    share = [max(1, math.floor(round(fraction * count, 9))) for count in own]
    trained_classes = math.floor(round(fraction * len(rest), 9))
    if share == own if by_samples else trained_classes in (0, len(rest)):
        with pytest.raises(ValueError, match="empty"):
            manager.folds(index)
        return
    (fold,) = manager.folds(index)
    assert set(index.labels[fold.tests["test"].query, 0]) == test
    trained, validated = counts(index, fold.train), counts(index, fold.val)
    assert (trained + validated)[rest].tolist() == np.bincount(labels, minlength=7)[rest].tolist()
    if by_samples:
        assert trained[rest].tolist() == share
    else:
        assert not (trained * validated).any()
        assert np.count_nonzero(trained) == trained_classes
        if not shuffle:
            assert set(np.flatnonzero(trained)) == set(rest[: np.count_nonzero(trained)])


@pytest.mark.parametrize(("classes", "sizes"), [(200, (80, 20, 100)), (196, (78, 20, 98))])
def test_the_published_fraction_makes_the_last_fifth_of_the_classes_the_validation_part(classes, sizes):
    index = index_of(np.repeat(np.arange(classes), 3))
    (fold,) = TrainValSplitManager().folds(index)
    assert fold.name == "Test50_50_TrainVal80_0"
    first, second, third = np.split(np.arange(classes), np.cumsum(sizes)[:2])
    assert set(fold.train // 3) == set(first)
    assert set(fold.val // 3) == set(second)
    assert set(fold.tests["test"].query // 3) == set(third)


def test_samples_are_taken_evenly_spaced_or_drawn():
    index = index_of(np.repeat(np.arange(4), 10))
    (fold,) = TrainValSplitManager(tv_split_perc=0.5, tv_split_by_samples=True).folds(index)
    assert fold.train.tolist() == [0, 2, 4, 6, 9, 10, 12, 14, 16, 19]
    drawn = [
        TrainValSplitManager(tv_split_perc=0.5, tv_split_by_samples=True, shuffle=True, random_seed=seed).folds(index)[
            0
        ]
        for seed in (1, 1, 2)
    ]
    assert drawn[0].checksum() == drawn[1].checksum() != drawn[2].checksum()


def test_classes_can_be_cut_within_each_super_class():
    labels = np.repeat(np.arange(20), 2)
    index = index_of(labels, above=labels % 2)
    (fold,) = TrainValSplitManager(tv_split_perc=0.6, tv_split_within=1).folds(index)
    assert sorted(set(index.labels[fold.train, 0])) == [0, 1, 2, 3, 4, 5]
    assert sorted(set(index.labels[fold.val, 0])) == [6, 7, 8, 9]


def test_a_validation_part_is_needed():
    for by_samples in (True, False):
        with pytest.raises(ValueError, match="empty"):
            TrainValSplitManager(tv_split_by_samples=by_samples).folds(index_of([0] * 6))
    with pytest.raises(ValueError, match="use_tv_split must be True"):
        TrainValSplitManager(use_tv_split=False)
    with pytest.raises(ValueError, match="tv_split_perc must be between 0 and 1, not 0"):
        TrainValSplitManager(tv_split_perc=0)


@pytest.mark.parametrize(
    "manager", [ClassDisjointSplitManager, MLRCSplitManager, IndexSplitManager, ClosedSetSplitManager]
)
def test_a_helper_supplies_the_test_set_and_the_rest_is_cut(manager):
    folds = manager(
        helper_split_manager=PredefinedSplitManager(), num_training_partitions=2, num_training_sets=2
    ).folds(SHOP)
    assert len(folds) == 2
    for fold in folds:
        assert fold.tests["test"].reference.tolist() == [11, 12, 13, 14]
        assert sorted([*fold.train, *fold.val]) == list(range(8))
        assert "PredefinedSplitScheme" in fold.name
        if manager in (ClassDisjointSplitManager, MLRCSplitManager):
            assert not set(SHOP.labels[fold.train, 0]) & set(SHOP.labels[fold.val, 0])
    (one,) = TrainValSplitManager(helper_split_manager=PredefinedSplitManager(), tv_split_perc=0.75).folds(SHOP)
    assert (one.train.tolist(), one.val.tolist()) == ([0, 1, 2, 3, 4, 5], [6, 7])
    assert one.name == "PredefinedSplitScheme_TrainVal75_0"


@settings(max_examples=40, deadline=None)
@given(labels=LABELS, share=st.floats(0.05, 1), manager=st.sampled_from([ClassDisjointSplitManager, IndexSplitManager]))
def test_a_share_of_the_training_classes_changes_nothing_else(labels, share, manager):
    index = index_of(labels)
    helper = manager(0.3, 0.7, 2, 2)
    if len(np.unique(labels)) < 4:
        return
    wholes = helper.folds(index)
    trained = []
    for whole in wholes:
        classes = sorted({labels[item] for item in whole.train})
        count = math.floor(round(share * len(classes), 9))
        kept = [classes[place * (len(classes) - 1) // max(count - 1, 1)] for place in range(count)]
        trained.append([item for item in whole.train if labels[item] in kept])
    fewer = ShareOfClassesSplitManager(share, helper)
    if [] in trained or trained[0] == trained[1]:
        with pytest.raises(ValueError, match=r"train is empty|two folds train on the same items"):
            fewer.folds(index)
        return
    folds = fewer.folds(index)
    assert [fold.name for fold in folds] == [f"Classes{round(100 * share):02d}_{whole.name}" for whole in wholes]
    for fold, whole, items in zip(folds, wholes, trained, strict=True):
        assert fold.train.tolist() == items
        assert fold.val.tolist() == whole.val.tolist()
        assert fold.tests["test"].checksum() == whole.tests["test"].checksum()


def test_half_of_the_training_classes_of_a_published_fold():
    index = index_of(np.repeat(np.arange(200), 2))
    manager = ShareOfClassesSplitManager(0.5, MLRCSplitManager())
    folds = manager.folds(index)
    assert (folds[0].name, manager.fold_count) == ("Classes50_Test50_50_Partitions4_0", 4)
    assert sorted(set(folds[0].train // 2)) == [place * 74 // 36 for place in range(37)]
    assert {len(set(fold.train // 2)) for fold in folds} == {37}
    assert set(folds[0].val // 2) == set(range(75, 100))
    (all_of_them, *_), (whole, *_) = ShareOfClassesSplitManager().folds(index), ClassDisjointSplitManager().folds(index)
    assert all_of_them.checksum() == whole.checksum()
    for ratio in (0, 1.5, True, "half"):
        with pytest.raises(ValueError, match="ratio_classes must be above 0 and at most 1"):
            ShareOfClassesSplitManager(ratio)
