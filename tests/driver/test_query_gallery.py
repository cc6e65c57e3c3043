"""Datasets whose test looks queries up in a gallery, from their own files to stored test values."""

import json

import pytest

from powerbench.cli import main
from powerbench.datasets import vehicle_id
from powerbench.datasets.in_shop import InShop
from powerbench.datasets.locating import Counts
from powerbench.datasets.market1501 import Market1501
from tests.datasets.making import let_there_be, picture, write
from tests.driver.world import World

pytestmark = pytest.mark.slow


def shop(folder):
    """4 items with 4 images to train on; 3 items with 2 queries and 2 images in the gallery each."""
    rows = []
    for item in range(1, 8):
        for view in range(4):
            role = "train" if item < 5 else ("query", "gallery")[view % 2]
            path = f"img/WOMEN/Tees/id_{item:08d}/0{view}_1_front.jpg"
            rows.append(f"{path}  id_{item:08d}  {role}")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(picture(item * 5 + view % 2))
    write(
        folder / "Eval/list_eval_partition.txt",
        "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows]),
    )


def vehicles(folder):
    """4 vehicles with 4 images to train on, 3 with 4 images to test on."""
    for name, numbers in (("train_list.txt", range(1, 5)), ("test_list_3.txt", range(5, 8))):
        names = [(f"{vehicle:03d}{view:04d}", vehicle) for vehicle in numbers for view in range(4)]
        write(folder / "train_test_split" / name, "".join(f"{image} {vehicle}\n" for image, vehicle in names))
        for image, vehicle in names:
            (folder / "image").mkdir(exist_ok=True)
            (folder / f"image/{image}.jpg").write_bytes(picture(vehicle * 5 + int(image) % 2))


def persons(folder):
    """4 persons with 4 images to train on; 3 with a query and a gallery image of each of 2 cameras; 2 distractors."""
    parts = {"bounding_box_train": range(1, 5), "query": range(5, 8), "bounding_box_test": (5, 6, 7, 0, -1)}
    for part, numbers in parts.items():
        for person in numbers:
            for shot in range(4 if part == "bounding_box_train" else 2):
                path = folder / part / f"{person:04d}_c{shot % 2 + 1}s1_{shot:06d}_01.jpg".replace("-001", "-1")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture(person * 5 + shot % 2))


@pytest.fixture
def world(tmp_path, monkeypatch):
    shop(tmp_path / "data/in-shop")
    vehicles(tmp_path / "data/VehicleID_V1.0")
    let_there_be(monkeypatch, InShop, Counts(7, 28, {"train": (4, 16), "query": (3, 6), "gallery": (3, 6)}))
    persons(tmp_path / "data/market1501")
    let_there_be(monkeypatch, Market1501, Counts(8, 30, {"train": (4, 16), "query": (3, 6), "gallery": (4, 8)}))
    monkeypatch.setattr(vehicle_id, "TRAIN_VEHICLES", 4)
    monkeypatch.setattr(vehicle_id, "TEST_VEHICLES", {"small": 3})
    return World(tmp_path)


ONE_REFERENCE = {"test_protocol": "one_reference_per_class"}
COUNTED = "28 images of 7 classes; first fold: train 8, val 8, test 12"
WITH_DISTRACTORS = "30 images of 8 classes; first fold: train 8, val 8, test 14"


@pytest.mark.parametrize(
    ("dataset", "split", "scheme", "counted"),
    [
        ({"InShop": {}}, {}, "PredefinedSplitScheme", COUNTED),
        ({"VehicleID": {}}, {}, "PredefinedSplitScheme", COUNTED),
        ({"VehicleID": {}}, ONE_REFERENCE, "PredefinedSplitScheme_one_reference_per_class", COUNTED),
        ({"Market1501": {}}, {"other_camera_level": 1}, "PredefinedSplitScheme", WITH_DISTRACTORS),
        (
            {"OtherTestSet": {"train_dataset": {"InShop": {}}, "test_dataset": "VehicleID"}},
            {},
            "PredefinedSplitScheme",
            COUNTED,
        ),
    ],
    ids=["in_shop", "vehicle_id", "vehicle_id_reid", "market1501", "other_test_set"],
)
def test_a_model_is_trained_and_tested(world, dataset, split, scheme, counted):
    manager = {"PredefinedSplitManager": {"num_training_partitions": 2, "num_training_sets": 2, **split}}
    chosen = {"dataset~OVERRIDE~": dataset, "split_manager~OVERRIDE~": manager}
    world.write("chosen", {**chosen, "evaluation_metrics": ["map_at_r", "recall_at_1", "recall_at_5"]})
    configs = f"[default, {world.folder / 'tiny.yaml'}, {world.folder / 'chosen.yaml'}]"
    words = world.words("one", "--dataset_root", str(world.folder / "data"), reproductions=0)
    words[words.index("--config_general") + 1] = configs
    assert main(words) == 0
    assert main([*words, "--evaluate", "--evaluate_ensemble", "--splits_to_eval", "[test]"]) == 0
    found = {(row[4], row[5], row[6]): row[7] for row in world.rows("evaluations") if row[3] == "test"}
    for mode in ("separate", "concatenated"):
        values = {metric: found[mode, "trained", metric] for metric in ("map_at_r", "recall_at_1", "recall_at_5")}
        assert all(0 <= value <= 1 for value in values.values())
        if split == ONE_REFERENCE:  # one reference a class: only its rank counts, and all 3 are among the first 5
            assert values["map_at_r"] == pytest.approx(values["recall_at_1"])
            assert values["recall_at_5"] == 1
    assert {row[3] for row in world.rows("runs")} == {0, 1}
    record = json.loads((world.root / "one/record.json").read_text())
    assert [name for name in json.dumps(record).split('"') if name.startswith(f"{scheme}_0")]
    assert counted in json.dumps(record)
