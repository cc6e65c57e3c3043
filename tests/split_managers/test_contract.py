import numpy as np
import pytest

from split_managers import DatasetIndex, Fold, TestSet
from split_managers.verification import verify_folds


def index_of(labels, /, **changes):
    labels = np.asarray(labels)
    parts = {
        "labels": labels.reshape(len(labels), -1),
        "class_names": (tuple(f"class {k}" for k in range(int(labels.max()) + 1)),),
        "item_names": tuple(f"item {i}" for i in range(len(labels))),
    }
    return DatasetIndex(**{**parts, **changes})


def fold(train=(0, 1), val=(2, 3), tested=(4, 5), name="fold_0", **tests):
    integers = [np.array(part, dtype=np.int64) for part in (train, val, tested)]
    return Fold(name, *integers[:2], tests or {"test": TestSet(integers[2])})


LABELS = [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array(LABELS)}, "items x levels"),
        ({"labels": np.array([LABELS]).T * 1.5}, "whole numbers"),
        ({"labels": np.array([LABELS]).T - 1}, "level 0 must lie in 0 .. 2"),
        ({"class_names": (("a", "b"),)}, "level 0 must lie in 0 .. 1"),
        ({"class_names": (("a", "b", "c"), ("d",))}, "1 label levels but 2"),
        ({"item_names": ("a",) * 6}, "unique"),
        ({"item_names": ("a", "b")}, "6 rows of labels but 2 item names"),
        ({"roles": ("train",)}, "6 items but 1 roles"),
        ({"class_features": np.zeros((2, 5))}, "3 classes but 2 rows"),
    ],
)
def test_an_index_whose_parts_do_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        index_of(LABELS, **changes)


def test_the_index_checksum_depends_on_every_part_and_on_nothing_else():
    same = [index_of(LABELS), index_of(np.array(LABELS, dtype=np.int32)), index_of(tuple(LABELS))]
    assert len({index.checksum() for index in same}) == 1
    names = tuple("abcdef")
    others = [
        index_of([0, 0, 1, 1, 2, 1]),
        index_of(LABELS, class_names=(("x", "y", "z"),)),
        index_of(LABELS, item_names=names),
        index_of(LABELS, roles=("train",) * 6),
        index_of(LABELS, roles=(None,) * 6),
        index_of(LABELS, class_features=np.zeros((3, 2))),
        index_of(LABELS, class_features=np.zeros((3, 4))),
    ]
    assert len({index.checksum() for index in [same[0], *others]}) == 1 + len(others)


def test_arrays_are_read_only_copies():
    train = np.array([0, 1])
    made = Fold("f", train, np.array([2]), {"test": TestSet(np.array([4]))})
    before = made.checksum()
    train[0] = 5
    assert made.train.tolist() == [0, 1]
    assert made.checksum() == before
    for array in (made.train, made.val, made.tests["test"].query, index_of(LABELS).labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7
    with pytest.raises(TypeError):
        made.tests["other"] = TestSet(np.array([3]))


def test_the_fold_checksum_says_who_is_in_which_part():
    folds = [
        fold(),
        fold(train=(2, 3), val=(0, 1)),
        fold(train=(0,), val=(1, 2, 3)),
        fold(other=TestSet(np.array([4, 5]))),
        fold(test=TestSet(np.array([4]), reference=np.array([5]))),
        fold(test=TestSet(np.array([4, 5]), episodes=(([4], [5]),))),
        fold(test=TestSet(np.array([4, 5]), episodes=(([5], [4]),))),
    ]
    assert len({f.checksum() for f in folds}) == len(folds)
    assert fold(name="another").checksum() == fold().checksum()


def test_items_of_a_test_set_are_those_of_all_its_parts():
    test = TestSet(np.array([5, 1]), reference=np.array([3]), episodes=(([7], [5]), ([8], [1])))
    assert test.items().tolist() == [1, 3, 5, 7, 8]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (fold(train=()), "train is empty"),
        (fold(val=(2, 6)), "val has items outside"),
        (fold(val=(2, -1)), "val has items outside"),
        (fold(train=(0, 0)), "train has an item twice"),
        (fold(train=(0, 2)), "train and val share 1 items, first 2"),
        (fold(tested=(3, 4, 5)), "val and tests share 1 items, first 3"),
        (fold(test=TestSet(np.array([4]), reference=np.array([0]))), "train and tests share"),
        (fold(test=TestSet(np.array([4]), episodes=(([1], [5]),))), "train and tests share"),
    ],
)
def test_a_fold_that_is_not_sound_is_refused(broken, message):
    with pytest.raises(ValueError, match=message):
        broken.verify(index_of(LABELS))


def test_classes_must_be_disjoint_where_that_is_promised():
    mixed = fold(train=(0,), val=(1, 2), tested=(3, 4))
    mixed.verify(index_of(LABELS))
    with pytest.raises(ValueError, match="train and val share 1 classes, first 0"):
        mixed.verify(index_of(LABELS), class_disjoint_level=0)
    two_levels = index_of(
        np.array([[0, 0], [1, 0], [2, 1], [3, 1], [4, 2], [5, 2]]), class_names=(tuple("abcdef"),) * 2
    )
    other = fold(train=(0,), val=(1, 2), tested=(3, 4))
    other.verify(two_levels, class_disjoint_level=0)
    with pytest.raises(ValueError, match="classes"):
        other.verify(two_levels, class_disjoint_level=1)


def test_a_fold_without_tests_is_sound():
    Fold("f", np.array([0, 1]), np.array([2, 3]), {}).verify(index_of(LABELS), class_disjoint_level=0)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([], "at least one"),
        ([fold(), fold(train=(2,), val=(0, 1))], "same name"),
        ([fold(), fold(train=(2,), val=(0, 1), tested=(4,), name="b")], "b has other test sets than fold_0"),
        ([fold(), fold(val=(3,), name="b")], "train on the same items"),
        ([fold(), fold(train=(0,), name="b")], "validation set of two folds"),
    ],
)
def test_folds_that_do_not_fit_together_are_refused(folds, message):
    with pytest.raises(ValueError, match=message):
        verify_folds(folds, index_of(LABELS), class_disjoint_level=0, val_disjoint=True)


def test_validation_sets_may_overlap_where_nothing_else_is_promised():
    verify_folds([fold(), fold(train=(0,), name="b")], index_of(LABELS))
