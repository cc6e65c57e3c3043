"""Splitting a dataset by one split of a progression."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from split_managers import DatasetIndex
from split_managers.making_progressions import ProgressionRecipe, make_progression
from split_managers.out_of_distribution_split_manager import OutOfDistributionSplitManager
from split_managers.progression import HardnessSplit, Progression, to_json, to_pickle
from split_managers.verification import verify_folds
from tests.split_managers.progressions import dataset, made, published


@pytest.fixture
def files(tmp_path):
    index, progression, _ = made()
    (tmp_path / "p.json").write_text(to_json(progression))
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(published(index), protocol=3))
    return tmp_path, index, progression


def names_of(index, items):
    return {index.class_names[0][label] for label in index.labels[items, 0]}


def test_a_split_of_a_progression_is_one_fold(files):
    folder, index, progression = files
    for number, split in progression.splits.items():
        (fold,) = OutOfDistributionSplitManager(str(folder / "p.json"), number, shots=2).folds(index)
        assert fold.name == f"OutOfDistribution{number}_FID{split.fid:.2f}_0"
        assert names_of(index, fold.train) == set(split.split_train)
        assert names_of(index, fold.val) == set(split.split_val)
        assert names_of(index, fold.tests["test"].query) == set(split.test)
        for support, query in fold.tests["test"].episodes:
            assert len(support) == 2 * len(split.test)
            assert sorted([*support, *query]) == fold.tests["test"].query.tolist()
    assert fold.tests["test"].reference is None


def test_a_fraction_replaces_the_files_validation_classes(files):
    folder, index, progression = files
    (fold,) = OutOfDistributionSplitManager(str(folder / "p.json"), 1, tv_split_perc=0.5).folds(index)
    classes = progression.splits[1].train
    assert names_of(index, fold.train) == set(classes[:6])
    assert names_of(index, fold.val) == set(classes[6:])
    assert fold.tests["test"].episodes is None


def test_published_supports_are_found_by_class_and_base_name(files):
    folder, index, _ = files
    (fold,) = OutOfDistributionSplitManager(str(folder / "p.pkl"), 2, shots=2).folds(index)
    assert fold.name == "OutOfDistribution2_FID18.50_0"
    support, _ = fold.tests["test"].episodes[1]
    assert {index.item_names[item].rpartition("/")[2] for item in support} == {"00001.jpg", "00002.jpg"}


def test_supports_that_do_not_exist_are_refused_or_drawn_anew(files):
    folder, index, _ = files
    items = tuple(name.replace("/0", "/9") for name in index.item_names)
    other = DatasetIndex(index.labels, index.class_names, items)
    file = str(folder / "p.pkl")
    with pytest.raises(ValueError, match=r"72 support images of split 1 do not exist, .* redraw_episodes: True"):
        OutOfDistributionSplitManager(file, 1, shots=2).folds(other)
    folds = [OutOfDistributionSplitManager(file, 1, shots=2, redraw_episodes=True).folds(other)[0] for _ in range(2)]
    assert folds[0].checksum() == folds[1].checksum()
    assert folds[0].name.endswith("_redrawn_0")
    assert len(folds[0].tests["test"].episodes[0][0]) == 24


def test_products_are_named_by_text_and_by_number(tmp_path):
    """Published SOP files: product ids as texts in train and test, class numbers from 1 on elsewhere, whole classes."""
    labels = np.repeat(np.arange(6), 2)
    products = tuple(f"11108512287{k}" for k in range(6))
    index = DatasetIndex(
        labels[:, None], (products,), tuple(f"x/{products[k]}_{n % 2}.JPG" for n, k in enumerate(labels))
    )
    split = {
        "train": list(products[:3]),
        "test": list(products[3:]),
        "fid": 3.4,
        "split_train": [1, 2],
        "split_val": [3],
    }
    (tmp_path / "sop.pkl").write_bytes(
        pickle.dumps({1: {**split, "test_episodes": {2: {0: [4, 6], 1: [5]}}}}, protocol=3)
    )
    (fold,) = OutOfDistributionSplitManager(str(tmp_path / "sop.pkl"), shots=2).folds(index)
    assert (fold.train.tolist(), fold.val.tolist()) == ([0, 1, 2, 3], [4, 5])
    assert [[part.tolist() for part in episode] for episode in fold.tests["test"].episodes] == [
        [[6, 7, 10, 11], [8, 9]],
        [[8, 9], [6, 7, 10, 11]],
    ]


def test_a_file_that_does_not_fit_is_refused(files):
    folder, index, _ = files
    file = str(folder / "p.json")
    with pytest.raises(ValueError, match=r"p.json has no split 9; it has 1, 2, 3"):
        OutOfDistributionSplitManager(file, 9).folds(index)
    with pytest.raises(ValueError, match="has no episodes with 10 shots; there are 2, 5"):
        OutOfDistributionSplitManager(file, shots=10).folds(index)
    with pytest.raises(ValueError, match="classes are not in the dataset, first 'class 08'"):
        OutOfDistributionSplitManager(str(folder / "p.pkl")).folds(dataset(8))
    with pytest.raises(ValueError, match="needs the file of a progression"):
        OutOfDistributionSplitManager().folds(index)
    with pytest.raises(ValueError, match="tv_split_perc must be at least 0 and below 1, not 1"):
        OutOfDistributionSplitManager(file, tv_split_perc=1)


def test_class_names_with_a_slash_are_found(tmp_path):
    index = DatasetIndex(np.arange(6)[:, None], (("Ram C/V 2012", "b", "c", "d", "e", "f"),), tuple("uvwxyz"))
    split = HardnessSplit(1.0, ("Ram C-V 2012", "b"), ("c", "d"), ("Ram C-V 2012",), ("b",))
    (tmp_path / "p.json").write_text(to_json(Progression({1: split})))
    (fold,) = OutOfDistributionSplitManager(str(tmp_path / "p.json")).folds(index)
    assert fold.train.tolist() == [0]


def any_dataset(labels):
    """Items in any order, named by class and number within it, as a class-folder layout names them."""
    seen = {}
    items = tuple(f"{label:02d}/{seen.setdefault(label, []).append(0) or len(seen[label])}.jpg" for label in labels)
    return DatasetIndex(np.array(labels)[:, None], (tuple(f"{label:02d}" for label in range(12)),), items)


def items_of(index, classes):
    return [item for item, label in enumerate(index.labels[:, 0]) if index.class_names[0][label] in classes]


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 11), min_size=12, max_size=60).filter(lambda labels: len(set(labels)) > 3),
    fraction=st.sampled_from([0.0, 0.3, 0.5]),
    write=st.sampled_from([to_json, to_pickle]),
    data=st.data(),
)
def test_any_split_of_any_labels_is_followed(tmp_path_factory, labels, fraction, write, data):
    index = any_dataset(labels)
    classes = data.draw(st.permutations([index.class_names[0][label] for label in sorted(set(labels))]))
    cuts = data.draw(st.lists(st.integers(1, len(classes)), min_size=3, max_size=3, unique=True).map(sorted))
    trained, validated, tested = (tuple(classes[a:b]) for a, b in zip([0, *cuts], cuts, strict=False))
    shots = min(len(items_of(index, [name])) for name in tested) - 1
    supports = tuple(
        {name: tuple(f"{e + n + 1}.jpg" for n in range(shots)) for name in tested} for e in (0, 1) if shots
    )
    split = HardnessSplit(7.25, trained + validated, tested, trained, validated, {shots: supports} if shots else {})
    file = tmp_path_factory.mktemp("split") / "progression"
    file.write_bytes(content.encode() if isinstance(content := write(Progression({4: split})), str) else content)
    manager = OutOfDistributionSplitManager(str(file), 4, tv_split_perc=fraction, shots=shots or None)
    count = int(fraction * len(split.train))
    if fraction and not count:
        with pytest.raises(ValueError, match="train is empty"):
            manager.folds(index)
        return
    folds = manager.folds(index)
    assert [fold.name for fold in folds] == [f"{manager.scheme}_0"] == ["OutOfDistribution4_FID7.25_0"]
    verify_folds(folds, index, class_disjoint_level=0, val_disjoint=True)
    assert folds[0].train.tolist() == items_of(index, split.train[:count] if fraction else trained)
    assert folds[0].val.tolist() == items_of(index, split.train[count:] if fraction else validated)
    test = folds[0].tests["test"]
    assert test.query.tolist() == items_of(index, tested)
    assert (test.reference, test.draws, len(test.episodes or ())) == (None, None, len(supports))
    for support, query in test.episodes or ():
        assert not set(support) & set(query)
        assert sorted([*support, *query]) == test.query.tolist()
        assert len(query) == len(test.query) - shots * len(tested)
        assert np.unique(index.labels[support, 0], return_counts=True)[1].tolist() == [shots] * len(tested)
    again = OutOfDistributionSplitManager(str(file), 4, tv_split_perc=fraction, shots=shots or None).folds(index)
    assert again[0].checksum() == folds[0].checksum()


@settings(max_examples=25, deadline=None)
@given(
    labels=st.lists(st.integers(0, 11), min_size=40, max_size=80).filter(lambda labels: len(set(labels)) > 8),
    mode=st.sampled_from(["monotone", "reference"]),
    seed=st.integers(0, 9),
)
def test_every_step_of_a_generated_progression_splits_any_labels(tmp_path_factory, labels, mode, seed):
    index = any_dataset(labels)
    features = np.random.default_rng(seed).normal(size=(len(labels), 3))
    classes = np.random.default_rng(seed).permutation(np.unique(labels))
    sides = [np.flatnonzero(np.isin(labels, side)) for side in np.array_split(classes, 2)]
    recipe = {"mode": mode, "n_swaps": 3, "swaps_iter": 1, "history": 1, "splits": 4, "shots": (1,), "episodes": 2}
    files = [tmp_path_factory.mktemp("made") / "p.json" for _ in range(2)]
    for drawn, file in enumerate(files):
        progression, walked = make_progression(index, features, *sides, ProgressionRecipe(seed=drawn, **recipe))
        file.write_text(to_json(progression))
    shots = 1 if progression.splits[1].episodes else None
    states = {state.raw_id: state for state in walked}
    distances = []
    for number, split in progression.splits.items():
        (fold,), (other,) = (OutOfDistributionSplitManager(str(f), number, shots=shots).folds(index) for f in files)
        verify_folds([fold], index, class_disjoint_level=0)
        state, rows = states[split.raw_id], np.sort(classes)
        trained = np.flatnonzero(np.isin(labels, rows[list(state.train)]))
        tested = np.flatnonzero(np.isin(labels, rows[list(state.test)]))
        for made_of in (fold, other):
            assert np.sort([*made_of.train, *made_of.val]).tolist() == trained.tolist()
            assert made_of.tests["test"].query.tolist() == tested.tolist()
        if split.raw_id in ("0", "R0"):
            assert [trained.tolist(), tested.tolist()] == [side.tolist() for side in sides]
        for support, query in fold.tests["test"].episodes or ():
            assert len(query) == len(tested) - len(state.test)
            assert sorted([*support, *query]) == tested.tolist()
        distances.append(split.fid)
    assert distances == sorted(set(distances))
    assert {"0", "R0"} & {split.raw_id for split in progression.splits.values()}
