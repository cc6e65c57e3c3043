from types import SimpleNamespace

import pytest

from powerbench.config.schema import ClassSpec
from powerbench.datasets.opening import open_dataset, open_folds
from powerbench.errors import UserError
from powerbench.jobs import Places


def config(dataset="Emoji200", split_manager="MLRCSplitManager"):
    return SimpleNamespace(
        dataset=ClassSpec.model_validate(dataset),
        split_manager=ClassSpec.model_validate(split_manager),
        skip_unreadable=False,
        trainer=SimpleNamespace(label_hierarchy_level=0),
        tester=SimpleNamespace(label_hierarchy_level=0),
    )


@pytest.fixture
def places(tmp_path):
    return Places(dataset_root=str(tmp_path), cache_dir=str(tmp_path / "cache"))


def test_a_dataset_and_its_folds_are_opened(places):
    dataset = open_dataset(config(), places)
    folds = open_folds(config(), dataset)
    assert [fold.name for fold in folds] == [f"Test50_50_Partitions4_{i}" for i in range(4)]
    labels = dataset.index.labels[:, 0]
    assert [len(set(labels[fold.train])) for fold in folds] == [75] * 4
    assert sorted(set(labels[folds[0].tests["test"].query])) == list(range(100, 200))
    assert dataset.image(int(folds[0].val[0])).mode == "RGB"


def test_datasets_are_sought_below_the_dataset_root(places, tmp_path):
    with pytest.raises(UserError, match=str(tmp_path / "cub2011/CUB_200_2011/images")):
        open_dataset(config("CUB200"), places)
    with pytest.raises(UserError, match=str(tmp_path / "birds")):
        open_dataset(config({"ImageFolder": {"root": "birds"}}), places)


def test_a_split_that_cannot_be_made_is_the_users_mistake(places):
    dataset = open_dataset(config(), places)
    few = {"ClassDisjointSplitManager": {"test_size": 0.99, "num_training_partitions": 4}}
    with pytest.raises(UserError, match="ClassDisjointSplitManager: 2 classes beside the test set are too few"):
        open_folds(config(split_manager=few), dataset)
    with pytest.raises(UserError, match="test_size must be between 0 and 1, not 2"):
        open_folds(config(split_manager={"MLRCSplitManager": {"test_size": 2}}), dataset)


USERS = """
import numpy as np
from split_managers import Fold, TestSet

class Half:
    scheme = "half"
    def __init__(self, shared=0):
        self.shared = shared
    def folds(self, index):
        n = len(index)
        tests = {"test": TestSet(np.arange(n // 2 - self.shared, n))}
        return [Fold("half_0", np.arange(0, n // 4), np.arange(n // 4, n // 2), tests)]

class NoIndex:
    pass
"""


def test_a_users_own_classes_are_verified_too(places, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(USERS)
    dataset = open_dataset(config(), places)
    assert len(open_folds(config(split_manager=f"{file}:Half"), dataset)) == 1
    with pytest.raises(UserError, match="val and tests share 3 items"):
        open_folds(config(split_manager={f"{file}:Half": {"shared": 3}}), dataset)
    with pytest.raises(UserError, match="needs an `index`"):
        open_dataset(config(f"{file}:NoIndex"), places)
