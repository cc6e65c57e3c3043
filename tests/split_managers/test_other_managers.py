"""Closed-set, index, train/validation and predefined split managers, and helpers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from split_managers import DatasetIndex
from split_managers.class_disjoint_split_manager import ClassDisjointSplitManager
from split_managers.closed_set_split_manager import ClosedSetSplitManager
from split_managers.index_split_manager import IndexSplitManager
from split_managers.mlrc_split_manager import MLRCSplitManager
from split_managers.predefined_split_manager import PredefinedSplitManager
from split_managers.train_val_split_manager import TrainValSplitManager

LABELS = st.lists(st.integers(0, 6), min_size=12, max_size=60)


def index_of(labels, roles=None, above=None):
    columns = [np.asarray(labels)] + ([np.asarray(above)] if above is not None else [])
    names = tuple(tuple(f"{level}:{k}" for k in range(int(column.max()) + 1)) for level, column in enumerate(columns))
    items = tuple(f"item {n}" for n in range(len(labels)))
    return DatasetIndex(np.stack(columns, axis=1), names, items, roles=roles)


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
    trained_classes = math.floor(round(fraction * len(rest), 9))
    has_pairs = any(labels.count(label) > 1 for label in rest)
    if not rest or (not has_pairs if by_samples else trained_classes in (0, len(rest))):
        with pytest.raises(ValueError, match="empty"):
            manager.folds(index)
        return
    if by_samples and all(
        max(1, math.floor(round(fraction * labels.count(label), 9))) == labels.count(label) for label in rest
    ):
        return
    (fold,) = manager.folds(index)
    assert set(index.labels[fold.tests["test"].query, 0]) == test
    trained, validated = counts(index, fold.train), counts(index, fold.val)
    assert (trained + validated)[rest].tolist() == np.bincount(labels, minlength=7)[rest].tolist()
    if by_samples:
        share = [max(1, math.floor(round(fraction * labels.count(label), 9))) for label in rest]
        assert trained[rest].tolist() == share
    else:
        assert not (trained * validated).any()
        assert np.count_nonzero(trained) == math.floor(round(fraction * len(rest), 9))
        if not shuffle:
            assert set(np.flatnonzero(trained)) == set(rest[: np.count_nonzero(trained)])


def test_the_published_fraction_makes_the_last_fifth_of_the_classes_the_validation_part():
    (fold,) = TrainValSplitManager().folds(index_of(np.repeat(np.arange(200), 3)))
    assert fold.name == "Test50_50_TrainVal80_0"
    assert set(fold.train // 3) == set(range(80))
    assert set(fold.val // 3) == set(range(80, 100))


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
    with pytest.raises(ValueError, match="use_tv_split must be True"):
        TrainValSplitManager(use_tv_split=False)
    with pytest.raises(ValueError, match="tv_split_perc must be between 0 and 1, not 0"):
        TrainValSplitManager(tv_split_perc=0)


ROLES = ("train",) * 8 + ("query",) * 3 + ("gallery",) * 4 + (None,)
SHOP = index_of([0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 4, 4, 5, 6, 6], roles=ROLES)


def test_published_roles_are_followed_and_validation_classes_cut_from_training():
    folds = PredefinedSplitManager().folds(SHOP)
    assert [fold.name for fold in folds] == [f"PredefinedSplitScheme_{n}" for n in range(4)]
    for number, fold in enumerate(folds):
        assert fold.val.tolist() == [2 * number, 2 * number + 1]
        assert sorted([*fold.train, *fold.val]) == list(range(8))
        assert fold.tests["test"].query.tolist() == [8, 9, 10]
        assert fold.tests["test"].reference.tolist() == [11, 12, 13, 14]
    (one,) = PredefinedSplitManager(use_tv_split=True, tv_split_perc=0.5).folds(SHOP)
    assert (one.train.tolist(), one.val.tolist()) == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert PredefinedSplitManager(use_tv_split=True).fold_count == 1


def test_a_published_validation_part_is_kept():
    index = index_of([0, 0, 1, 1, 2, 2], roles=("train", "train", "val", "val", "test", "test"))
    (fold,) = PredefinedSplitManager().folds(index)
    assert (fold.train.tolist(), fold.val.tolist(), fold.tests["test"].query.tolist()) == ([0, 1], [2, 3], [4, 5])


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, data=st.data())
def test_any_roles_that_make_a_split_are_followed(labels, data):
    names = st.sampled_from(["train", "val", "test", None])
    roles = tuple(data.draw(st.lists(names, min_size=len(labels), max_size=len(labels))))
    index = index_of(labels, roles=roles)
    items = {role: [n for n, had in enumerate(roles) if had == role] for role in ("train", "val", "test")}
    manager = PredefinedSplitManager(num_training_partitions=2, num_training_sets=2)
    classes = {labels[item] for item in items["train"]}
    if not items["train"] or not items["test"] or (not items["val"] and len(classes) < 2):
        with pytest.raises(ValueError, match=r"no item has the role|too few for 2 partitions"):
            manager.folds(index)
        return
    folds = manager.folds(index)
    for fold in folds:
        assert fold.tests["test"].query.tolist() == items["test"]
        assert sorted([*fold.train, *fold.val]) == sorted(items["train"] + items["val"])
        if items["val"]:
            assert fold.val.tolist() == items["val"]
        else:
            assert not set(index.labels[fold.train, 0]) & set(index.labels[fold.val, 0])
    assert len(folds) == (1 if items["val"] else 2)


VEHICLES = index_of([0, 0, 1, 1, 4, 4, 3, 2, 3, 4], roles=("train",) * 4 + ("test",) * 6)


def test_one_random_reference_a_class_is_drawn_as_often_as_asked_for():
    manager = PredefinedSplitManager(
        test_protocol="one_reference_per_class", num_training_partitions=2, num_training_sets=2
    )
    assert manager.scheme == "PredefinedSplitScheme_one_reference_per_class"
    test = manager.folds(VEHICLES)[0].tests["test"]
    assert len(test.draws) == 10
    assert len({tuple(reference) for _, reference in test.draws}) > 1
    for query, reference in test.draws:
        assert sorted([*query, *reference]) == [4, 5, 6, 7, 8, 9]
        assert sorted(VEHICLES.labels[reference, 0]) == [2, 3, 4]
        assert len(query) == 3
    again = manager.folds(VEHICLES)[0]
    assert (
        again.checksum() == manager.folds(VEHICLES)[1].checksum() or again.tests["test"].checksum() == test.checksum()
    )
    other = PredefinedSplitManager(
        test_protocol="one_reference_per_class", num_training_partitions=2, num_training_sets=2, random_seed=1
    )
    assert other.folds(VEHICLES)[0].tests["test"].checksum() != test.checksum()
    everyone = PredefinedSplitManager(num_training_partitions=2, num_training_sets=2).folds(VEHICLES)[0]
    assert everyone.tests["test"].draws is None
    assert everyone.tests["test"].query.tolist() == [4, 5, 6, 7, 8, 9]


def test_files_may_name_classes_or_items(tmp_path):
    index = index_of([0, 0, 1, 1, 2, 2, 3, 3])
    (tmp_path / "train.txt").write_text("\ufeff0:0\n0:1\n\n0:3\n")
    (tmp_path / "test.txt").write_text("item 4\n item 5 \n")
    files = {"train": str(tmp_path / "train.txt"), "test": str(tmp_path / "test.txt")}
    (fold,) = PredefinedSplitManager(files, use_tv_split=True, tv_split_perc=0.7).folds(index)
    assert fold.train.tolist() == [0, 1, 2, 3]
    assert fold.val.tolist() == [6, 7]
    assert fold.tests["test"].query.tolist() == [4, 5]
    (tmp_path / "test.txt").write_text("item 4\nitem 77\n")
    with pytest.raises(ValueError, match="the dataset has no item named 'item 77'"):
        PredefinedSplitManager(files).folds(index)
    (tmp_path / "test.txt").write_text("0:0\n")
    with pytest.raises(ValueError, match="share 2 items"):
        PredefinedSplitManager(files, use_tv_split=True).folds(index)
    with pytest.raises(ValueError, match=r"none.txt cannot be read"):
        PredefinedSplitManager({"train": str(tmp_path / "none.txt")}).folds(index)


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (None, "no published partition; give one: files"),
        (("train",) * 16, "no item has the role 'test' \\(there are: train\\)"),
        (("train",) * 8 + ("query",) * 8, "no item has the role 'gallery'"),
        (
            ("train",) * 8 + ("query", "gallery", "test") + (None,) * 5,
            "some items have the role 'test' and some 'query'",
        ),
        (("train",) + ("test",) * 15, "1 training classes are too few for 4 partitions"),
    ],
)
def test_roles_that_make_no_split_are_refused(roles, message):
    with pytest.raises(ValueError, match=message):
        PredefinedSplitManager().folds(index_of(SHOP.labels[:, 0], roles=roles))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"files": {"training": "a"}}, "a role in files must be train, val"),
        ({"test_protocol": "reid"}, "test_protocol must be all or one_reference_per_class, not 'reid'"),
        ({"repetitions": 0}, "repetitions must be 1 or more"),
        ({"tv_split_perc": 2}, "tv_split_perc must be between 0 and 1"),
        ({"num_training_sets": 5}, "num_training_sets"),
    ],
)
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PredefinedSplitManager(**arguments)


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
