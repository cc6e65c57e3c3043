import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, train_test_split

from split_managers import DatasetIndex
from split_managers.class_disjoint_split_manager import ClassDisjointSplitManager
from split_managers.mlrc_split_manager import MLRCSplitManager

MANAGERS = [ClassDisjointSplitManager, MLRCSplitManager]


def dataset(classes, items_per_class=1, levels=1):
    labels = np.repeat(np.arange(classes), items_per_class)
    np.random.default_rng(0).shuffle(labels)
    columns = np.stack([labels // 2**level for level in range(levels)], axis=1)
    names = tuple(tuple(f"{level}:{k}" for k in range(int(columns[:, level].max()) + 1)) for level in range(levels))
    return DatasetIndex(columns, names, tuple(map(str, range(len(labels)))))


def classes_of(index, items, level=0):
    return set(index.labels[items, level].tolist())


def ranks(*bounds):
    """Inclusive ranges, as the published table writes them."""
    return {rank for first, last in bounds for rank in range(first, last + 1)}


MLRC_TABLE = {
    200: [
        ([(0, 74)], [(75, 99)]),
        ([(25, 99)], [(0, 24)]),
        ([(50, 99), (0, 24)], [(25, 49)]),
        ([(75, 99), (0, 49)], [(50, 74)]),
    ],
    196: [
        ([(0, 73)], [(74, 97)]),
        ([(24, 97)], [(0, 23)]),
        ([(49, 97), (0, 24)], [(25, 48)]),
        ([(73, 97), (0, 48)], [(49, 72)]),
    ],
    22634: [
        ([(0, 8487)], [(8488, 11316)]),
        ([(2829, 11316)], [(0, 2828)]),
        ([(5658, 11316), (0, 2828)], [(2829, 5657)]),
        ([(8487, 11316), (0, 5657)], [(5658, 8486)]),
    ],
}
KFOLD_TABLE = {
    200: [(0, 24), (25, 49), (50, 74), (75, 99)],
    196: [(0, 24), (25, 49), (50, 73), (74, 97)],
    22634: [(0, 2829), (2830, 5658), (5659, 8487), (8488, 11316)],
}


@pytest.mark.parametrize("classes", MLRC_TABLE)
def test_mlrc_folds_are_the_published_ones(classes):
    index = dataset(classes, items_per_class=2)
    folds = MLRCSplitManager().folds(index)
    assert len(folds) == 4
    for fold, (train, val) in zip(folds, MLRC_TABLE[classes], strict=True):
        assert classes_of(index, fold.train) == ranks(*train)
        assert classes_of(index, fold.val) == ranks(*val)
        assert classes_of(index, fold.tests["test"].query) == ranks((classes // 2, classes - 1))


@pytest.mark.parametrize("classes", KFOLD_TABLE)
def test_class_disjoint_folds_are_the_published_ones(classes):
    index = dataset(classes)
    folds = ClassDisjointSplitManager().folds(index)
    for fold, val in zip(folds, KFOLD_TABLE[classes], strict=True):
        assert classes_of(index, fold.val) == ranks(val)
        assert classes_of(index, fold.train) == ranks((0, classes // 2 - 1)) - ranks(val)
        assert classes_of(index, fold.tests["test"].query) == ranks((classes // 2, classes - 1))


def test_on_cub_both_give_the_same_partitions_in_rotated_order():
    index = dataset(200)
    mlrc, kfold = MLRCSplitManager().folds(index), ClassDisjointSplitManager().folds(index)
    for number, fold in enumerate(mlrc):
        assert fold.checksum() == kfold[(number - 1) % 4].checksum()


@pytest.mark.parametrize(
    ("classes", "sizes", "never"), [(200, (75, 25), []), (196, (74, 24), [24, 73]), (22634, (8488, 2829), [8487])]
)
def test_mlrc_folds_are_of_equal_size_and_may_leave_classes_unvalidated(classes, sizes, never):
    index = dataset(classes)
    folds = MLRCSplitManager().folds(index)
    assert [(len(fold.train), len(fold.val)) for fold in folds] == [sizes] * 4
    validated = classes_of(index, np.concatenate([fold.val for fold in folds]))
    assert sorted(set(range(classes // 2)) - validated) == never


@pytest.mark.parametrize("size", [0.2, 0.3, 0.5, 0.75])
@pytest.mark.parametrize("classes", [16, 51, 100])
@pytest.mark.parametrize("partitions", [2, 3, 4])
def test_class_disjoint_agrees_with_scikit_learn(classes, size, partitions):
    """The published procedure for a test block at the end: an unshuffled cut, then KFold."""
    index = dataset(classes)
    start = 1 - size
    rest, test = train_test_split(np.arange(classes), test_size=size, shuffle=False)
    if math.floor(start * classes) != len(rest):
        start = len(rest) / classes
    manager = ClassDisjointSplitManager(size, start, partitions, partitions)
    for fold, (train, val) in zip(manager.folds(index), KFold(partitions).split(rest), strict=True):
        assert classes_of(index, fold.tests["test"].query) == set(test.tolist())
        assert classes_of(index, fold.train) == set(rest[train].tolist())
        assert classes_of(index, fold.val) == set(rest[val].tolist())


@pytest.mark.parametrize("manager", MANAGERS)
def test_the_test_block_starts_where_it_is_asked_to_and_wraps(manager):
    index = dataset(100)

    def test_classes(size, start):
        return classes_of(index, manager(size, start).folds(index)[0].tests["test"].query)

    assert test_classes(0.5, 0.25) == ranks((25, 74))
    assert test_classes(0.5, 0.75) == ranks((75, 99), (0, 24))
    assert test_classes(0.5, 0) == ranks((0, 49))
    assert test_classes(0.25, 0.5) == ranks((50, 74))
    assert test_classes(0.07, 0.29) == ranks((29, 35))


@pytest.mark.parametrize("start", [0, 0.5])
@pytest.mark.parametrize("classes", [8, 50, 196])
def test_starts_of_the_published_code_are_kept(classes, start):
    """Its roll by int(start * n) - int(size * n), right for these starts and an even n."""
    rolled = np.roll(np.arange(classes), int(start * classes) - int(0.5 * classes))
    rest, test = train_test_split(rolled, test_size=0.5, shuffle=False)
    index = dataset(classes)
    folds = ClassDisjointSplitManager(test_start_idx=start).folds(index)
    assert classes_of(index, folds[0].tests["test"].query) == set(test.tolist())
    for fold, (_, val) in zip(folds, KFold(4).split(rest), strict=True):
        assert classes_of(index, fold.val) == set(rest[val].tolist())


def test_a_validation_block_of_one_class_works():
    index = dataset(8, items_per_class=3)
    for manager in MANAGERS:
        folds = manager().folds(index)
        assert sorted(next(iter(classes_of(index, fold.val))) for fold in folds) == [0, 1, 2, 3]
        assert all(len(classes_of(index, fold.train)) == 3 for fold in folds)


@pytest.mark.parametrize("manager", MANAGERS)
@settings(max_examples=60, deadline=None)
@given(
    classes=st.integers(2, 120),
    size=st.floats(0.01, 0.99),
    start=st.floats(0, 0.999),
    partitions=st.integers(2, 9),
    seed=st.none() | st.integers(0, 5),
)
def test_every_split_is_a_partition_of_the_classes(manager, classes, size, start, partitions, seed):
    index = dataset(classes, items_per_class=2)
    cut = manager(size, start, partitions, partitions, shuffle=seed is not None, random_seed=seed)
    in_test = math.ceil(round(size * classes, 9))
    if classes - in_test < partitions:
        with pytest.raises(ValueError, match="too few"):
            cut.folds(index)
        return
    folds = cut.folds(index)
    assert len(folds) == partitions
    validated = set()
    for fold in folds:
        parts = [classes_of(index, part) for part in (fold.train, fold.val, fold.tests["test"].query)]
        assert [len(fold.train), len(fold.val), len(fold.tests["test"].query)] == [2 * len(part) for part in parts]
        assert set.union(*parts) == set(range(classes))
        assert sum(map(len, parts)) == classes
        assert len(parts[2]) == in_test
        assert not validated & parts[1]
        validated |= parts[1]
    sizes = {len(fold.val) for fold in folds}
    if manager is MLRCSplitManager:
        assert sizes == {2 * ((classes - in_test) // partitions)}
    else:
        assert len(validated) == classes - in_test
        assert max(sizes) - min(sizes) in (0, 2)


@pytest.mark.parametrize("manager", MANAGERS)
def test_names_follow_the_published_pattern(manager):
    index = dataset(100)
    assert [f.name for f in manager().folds(index)] == [f"Test50_50_Partitions4_{i}" for i in range(4)]
    assert manager().scheme == "Test50_50_Partitions4"
    assert manager(0.05, 0, 10, 3).scheme == "Test05_00_Partitions10"
    assert manager(0.29, 0.07).scheme == "Test29_07_Partitions4"
    assert manager(shuffle=True, random_seed=1).scheme == "ShuffledTest50_50_ShuffledPartitions4"
    assert len(manager(num_training_partitions=10, num_training_sets=3).folds(index)) == 3


@pytest.mark.parametrize("manager", MANAGERS)
def test_shuffling_is_repeatable_and_depends_on_the_seed(manager):
    index = dataset(40)
    checksums = [manager(shuffle=True, random_seed=seed).folds(index)[0].checksum() for seed in (1, 1, 2)]
    assert checksums[0] == checksums[1] != checksums[2]
    assert checksums[0] != manager().folds(index)[0].checksum()


def test_another_label_level_can_be_cut():
    index = dataset(64, levels=3)
    for manager in MANAGERS:
        for fold in manager(hierarchy_level=2).folds(index):
            assert classes_of(index, fold.tests["test"].query, level=2) == ranks((8, 15))
            assert not classes_of(index, fold.train, level=2) & classes_of(index, fold.val, level=2)


def test_label_values_need_not_be_dense():
    index = DatasetIndex(
        np.array([[3], [9], [4], [20], [4], [9], [15], [17]]), (tuple(map(str, range(21))),), tuple("abcdefgh")
    )
    fold = MLRCSplitManager(num_training_partitions=2, num_training_sets=2).folds(index)[0]
    assert classes_of(index, fold.tests["test"].query) == {15, 17, 20}
    assert (fold.train.tolist(), fold.val.tolist()) == ([0, 2, 4], [1, 5])


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test_size": 0}, "test_size must be between 0 and 1, not 0"),
        ({"test_size": 1.0}, "test_size"),
        ({"test_size": True}, "test_size"),
        ({"test_size": "0.5"}, "test_size must be between 0 and 1, not '0.5'"),
        ({"test_start_idx": 1}, "test_start_idx must be at least 0 and below 1"),
        ({"test_start_idx": -0.1}, "test_start_idx"),
        ({"num_training_partitions": 1}, "num_training_partitions must be 2 or more"),
        ({"num_training_partitions": 2.0}, "num_training_partitions"),
        ({"num_training_sets": 5}, r"1 to num_training_partitions \(4\), not 5"),
        ({"num_training_sets": 0}, "num_training_sets"),
        ({"hierarchy_level": 0.5}, "hierarchy_level"),
        ({"shuffle": 1, "random_seed": 0}, "shuffle must be True or False"),
        ({"shuffle": True}, "random_seed must be a whole number"),
        ({"shuffle": True, "random_seed": -1}, "random_seed"),
        ({"random_seed": 3}, "random_seed must be left out, or shuffle be True, not 3"),
        ({"data_and_label_getter_keys": "data"}, "data_and_label_getter_keys"),
        ({"data_and_label_getter_keys": ["data"]}, "data_and_label_getter_keys"),
    ],
)
def test_settings_that_cannot_work_are_refused(manager, arguments, message):
    with pytest.raises(ValueError, match=message):
        manager(**arguments)


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_dataset_that_cannot_be_cut_so_is_refused(manager):
    with pytest.raises(ValueError, match="3 classes beside the test set are too few for 4 partitions"):
        manager().folds(dataset(6))
    for level in (1, -1):
        with pytest.raises(ValueError, match=f"hierarchy_level {level} does not exist: the dataset has 1"):
            manager(hierarchy_level=level).folds(dataset(20))


def test_old_configs_may_name_the_getter_keys():
    assert ClassDisjointSplitManager(data_and_label_getter_keys=["data", "label"]).scheme == "Test50_50_Partitions4"
