"""Published partitions, and those that files give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from split_managers.predefined_split_manager import PredefinedSplitManager
from tests.split_managers.indices import LABELS, SHOP, index_of


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


def test_the_official_half_of_the_products_is_not_the_first_half_of_the_classes():
    """Stanford Online Products: 11,318 classes to train on, where cross-validation cuts 11,317 and 11,317."""
    index = index_of(np.arange(22634), roles=("train",) * 11318 + ("test",) * 11316)
    folds = PredefinedSplitManager().folds(index)
    for fold in folds:
        assert sorted([*fold.train, *fold.val]) == list(range(11318))
        assert fold.tests["test"].query.tolist() == list(range(11318, 22634))
    assert [len(fold.val) for fold in folds] == [2830, 2830, 2829, 2829]
    (one,) = PredefinedSplitManager(use_tv_split=True, tv_split_perc=0.8).folds(index)
    assert one.train.tolist() == list(range(9054))


def test_a_published_validation_part_is_kept():
    index = index_of([0, 0, 1, 1, 2, 2], roles=("train", "train", "val", "val", "test", "test"))
    (fold,) = PredefinedSplitManager().folds(index)
    assert (fold.train.tolist(), fold.val.tolist(), fold.tests["test"].query.tolist()) == ([0, 1], [2, 3], [4, 5])


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, tested=st.sampled_from([("test",), ("query", "gallery")]), data=st.data())
def test_any_roles_that_make_a_split_are_followed(labels, tested, data):
    names = st.sampled_from(["train", "val", *tested, None])
    roles = tuple(data.draw(st.lists(names, min_size=len(labels), max_size=len(labels))))
    index = index_of(labels, roles=roles)
    items = {role: [n for n, had in enumerate(roles) if had == role] for role in ("train", "val", *tested)}
    manager = PredefinedSplitManager(num_training_partitions=2, num_training_sets=2)
    classes = {labels[item] for item in items["train"]}
    if not items["train"] or not all(map(items.get, tested)) or (not items["val"] and len(classes) < 2):
        with pytest.raises(ValueError, match=r"no item has the role|too few for 2 partitions"):
            manager.folds(index)
        return
    folds = manager.folds(index)
    for fold in folds:
        test = fold.tests["test"]
        looked_up = [test.query] if test.reference is None else [test.query, test.reference]
        assert [part.tolist() for part in looked_up] == [items[role] for role in tested]
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
