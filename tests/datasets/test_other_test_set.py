from types import SimpleNamespace

import numpy as np
import pytest

from powerbench.config.schema import ClassSpec
from powerbench.datasets.csv_manifest import CSVManifest
from powerbench.datasets.image_folder import ImageFolder
from powerbench.datasets.opening import open_dataset, open_folds
from powerbench.datasets.other_test_set import OtherTestSet
from powerbench.errors import UserError
from powerbench.jobs import Places
from tests.data.making import Noise
from tests.datasets.making import put, write


@pytest.fixture
def birds_and_shop(tmp_path):
    """Five classes without a published part, and a manifest with one."""
    put(tmp_path / "birds", [f"{name}/{n}.jpg" for name in ("auk", "crow", "gull", "kite", "owl") for n in (1, 2)])
    put(tmp_path / "shop", [f"{n}.jpg" for n in range(6)])
    rows = [
        "0.jpg,shoe,train,",
        "1.jpg,owl,test,query",
        "2.jpg,hat,test,gallery",
        "3.jpg,owl,test,gallery",
        "4.jpg,x,,",
    ]
    write(tmp_path / "shop/all.csv", "\n".join(["path,label,split,role", *rows]) + "\n")
    return ImageFolder(str(tmp_path / "birds")), CSVManifest(str(tmp_path / "shop/all.csv"))


def test_the_training_half_of_one_and_the_published_test_part_of_the_other_are_joined(birds_and_shop):
    birds, shop = birds_and_shop
    both = OtherTestSet(birds, shop)
    assert both.index.class_names == (("auk", "crow", "hat", "owl"),)
    assert both.index.labels[:, 0].tolist() == [0, 0, 1, 1, 3, 2, 3]
    assert both.index.roles == ("train",) * 4 + ("query", "gallery", "gallery")
    assert both.index.item_names[:5] == (
        "train/auk/1.jpg",
        "train/auk/2.jpg",
        *both.index.item_names[2:4],
        "test/1.jpg",
    )
    assert both.files == [*birds.files[:4], *shop.files[1:4]]
    assert both.image(4).tobytes() == shop.image(1).tobytes()
    assert both.layout == f"train: {birds.layout}; test: {shop.layout}"


def test_the_other_way_round_the_last_half_of_the_classes_is_tested(birds_and_shop):
    birds, shop = birds_and_shop
    both = OtherTestSet(shop, birds)
    assert both.index.class_names == (("shoe", "gull", "kite", "owl"),)
    assert both.index.labels[:, 0].tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert both.index.roles == ("train",) + ("test",) * 6
    assert both.checksum not in (OtherTestSet(birds, shop).checksum, birds.checksum, shop.checksum)
    assert both.checksum == OtherTestSet(shop, birds).checksum
    assert not hasattr(OtherTestSet(birds, Noise(8)), "files")


def test_a_dataset_without_the_part_is_refused(birds_and_shop, tmp_path):
    birds, _ = birds_and_shop
    write(tmp_path / "shop/trained.csv", "path,label,split\n0.jpg,shoe,train\n")
    with pytest.raises(UserError, match="test_dataset has no part to test on"):
        OtherTestSet(birds, CSVManifest(str(tmp_path / "shop/trained.csv")))


def test_it_is_built_from_a_config_below_the_dataset_root_and_split(birds_and_shop, tmp_path):
    datasets = {
        "train_dataset": {"ImageFolder": {"root": "birds"}},
        "test_dataset": {"CSVManifest": {"file": "shop/all.csv"}},
    }
    config = SimpleNamespace(
        dataset=ClassSpec.model_validate({"OtherTestSet": datasets}),
        split_manager=ClassSpec.model_validate(
            {"PredefinedSplitManager": {"use_tv_split": True, "tv_split_perc": 0.5}}
        ),
        skip_unreadable=False,
        trainer=SimpleNamespace(label_hierarchy_level=0),
        tester=SimpleNamespace(label_hierarchy_level=0),
    )
    dataset = open_dataset(config, Places(dataset_root=str(tmp_path), cache_dir=str(tmp_path / "cache")))
    assert dataset.checksum == OtherTestSet(*birds_and_shop).checksum
    (fold,) = open_folds(config, dataset)
    test = fold.tests["test"]
    assert [part.tolist() for part in (fold.train, fold.val, test.query, test.reference)] == [
        [0, 1],
        [2, 3],
        [4],
        [5, 6],
    ]
    assert len(np.unique(dataset.index.labels[:, 0])) == 4
