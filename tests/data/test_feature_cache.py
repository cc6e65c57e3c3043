import json
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from powerbench.data import features as module
from powerbench.data.features import kept_features, state_hash
from powerbench.data.images import ImageInputs
from powerbench.data.inputs import open_inputs
from powerbench.data.recipes import build_recipe
from powerbench.errors import UserError
from powerbench.models.layers import offer_layers
from powerbench.models.trunk import Trunk
from powerbench.models.trunk_contract import InputSpec
from tests.data.making import CPU, CROPS, Noise, config_of, places_in


def small_trunk(seed=0):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Trunk(network, name="small", width=5, input=InputSpec(), pool="2")


def opened(tmp_path, dataset=None, trunk=None, **keys):
    config = config_of(freeze_trunk=True, **keys)
    return open_inputs(config, dataset or Noise(70), trunk or small_trunk(), places_in(tmp_path), CPU)


def rows(inputs, part="train", seed=0, count=70):
    return next(iter(inputs.batches([np.arange(count)], part=part, seed=seed)))[0]


def direct(trunk, dataset, config, part="eval", output="pooled"):
    """Forward passes of 32 images each, without any cache."""
    recipes = {p: build_recipe(getattr(config.transforms, p), where=p) for p in ("train", "eval")}
    inputs = ImageInputs(dataset, recipes, trunk.input, device=CPU, workers={"train": 0, "eval": 0})
    plan = np.split(np.arange(len(dataset.index)), range(32, len(dataset.index), 32))
    with torch.no_grad():
        trunk = trunk.eval().to(memory_format=torch.channels_last)
        return torch.cat([trunk(images, (output,))[output] for (images,) in inputs.batches(plan, part=part)])


def test_features_are_bit_for_bit_those_of_a_direct_forward_pass(tmp_path):
    dataset, trunk = Noise(70), small_trunk()
    found = opened(tmp_path, dataset, trunk)
    expected = direct(trunk, dataset, config_of())
    assert torch.equal(rows(found.inputs), expected)
    assert torch.equal(rows(found.inputs, "eval"), expected)
    plan = [np.array([3, 3, 69]), np.array([0])]
    batches = list(found.inputs.batches(plan, part="train", views=2))
    assert all(torch.equal(view, expected[items]) for items, views in zip(plan, batches, strict=True) for view in views)
    assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 1  # both parts share it


def test_the_trunk_that_is_returned_passes_features_through(tmp_path):
    trunk = small_trunk()
    found = opened(tmp_path, trunk=trunk)
    features = rows(found.inputs)
    assert torch.equal(found.trunk(features)["pooled"], features)
    assert found.trunk.widths == {"pooled": 5}
    assert (found.trunk.identity, found.trunk.weights_hash) == (trunk.identity, trunk.weights_hash)
    assert not list(found.trunk.parameters())
    with pytest.raises(UserError, match="only pooled features are kept; map cannot be had"):
        found.trunk(features, ("map",))
    found.inputs.close()


def test_layers_are_kept_beside_the_pooled_features(tmp_path):
    dataset, trunk = Noise(70), offer_layers(small_trunk(), ["0", "1"])
    found = opened(tmp_path, dataset, trunk, layers_to_extract=["0", "1"])
    assert found.trunk.widths == {"pooled": 5, "0": 5, "1": 5}
    features = found.trunk(rows(found.inputs), ("pooled", "1"))
    assert torch.equal(features["pooled"], direct(trunk, dataset, config_of()))
    assert torch.equal(features["1"], direct(trunk, dataset, config_of(), output="1"))
    assert torch.equal(features["0"], direct(trunk, dataset, config_of(), output="0"))
    assert not torch.equal(features["0"], features["1"])


def test_features_are_computed_once(tmp_path):
    first = rows(opened(tmp_path).inputs)
    again = Noise(70)
    assert torch.equal(rows(opened(tmp_path, again).inputs), first)
    assert again.asked == 0


@pytest.mark.parametrize(
    "change",
    [
        {"trunk": small_trunk(1)},
        {"dataset": Noise(72)},
        {"train": {"Resize": {"size": [17, 17]}}, "test": {"Resize": {"size": [17, 17]}}},
        {"precision": "bfloat16"},
        {"channels_last": False},
    ],
)
def test_whatever_could_change_a_feature_makes_it_computed_anew(tmp_path, change):
    opened(tmp_path)
    dataset = change.setdefault("dataset", Noise(70))
    opened(tmp_path, **change)
    assert dataset.asked > 0


def test_other_versions_of_what_makes_features_mean_other_files(tmp_path, monkeypatch):
    from powerbench.data import inputs

    opened(tmp_path)
    before = inputs.environment_of_process()
    monkeypatch.setattr(inputs, "environment_of_process", lambda: {**before, "pillow": "0.1"})
    dataset = Noise(70)
    opened(tmp_path, dataset=dataset)
    assert dataset.asked > 0


def test_other_threads_mean_other_files(tmp_path):
    opened(tmp_path)
    again = Noise(70)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        opened(tmp_path, again)
    finally:
        torch.set_num_threads(before)
    assert again.asked > 0


def damage_half(npy, record):
    npy.write_bytes(npy.read_bytes()[:-50])


def damage_bit(npy, record):
    content = bytearray(npy.read_bytes())
    content[-3] ^= 1
    npy.write_bytes(content)


def damage_key(npy, record):
    record.write_text(record.read_text().replace('"small', '"other').replace("bninception", "vgg"))


def damage_record(npy, record):
    record.write_text("{")


def damage_list(npy, record):
    record.write_text("[]")


def lose_record(npy, record):
    record.unlink()


def lose_features(npy, record):
    npy.unlink()


@pytest.mark.parametrize(
    "damage", [damage_half, damage_bit, damage_key, damage_record, damage_list, lose_record, lose_features]
)
def test_damaged_files_are_never_trusted(tmp_path, damage):
    expected = rows(opened(tmp_path).inputs).clone()
    (npy,) = (tmp_path / "cache" / "features").glob("*.npy")
    damage(npy, npy.with_suffix(".json"))
    again = Noise(70)
    assert torch.equal(rows(opened(tmp_path, again).inputs), expected)
    assert again.asked > 0
    third = Noise(70)
    assert torch.equal(rows(opened(tmp_path, third).inputs), expected)
    assert third.asked == 0


def test_nothing_written_to_a_batch_reaches_the_file(tmp_path):
    inputs = opened(tmp_path).inputs
    expected = rows(inputs).clone()
    rows(inputs).zero_()
    assert torch.equal(rows(inputs), expected)


def test_one_builder_works_and_the_others_wait(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        time.sleep(0.2)
        return np.ones((1, 2, 3), dtype=np.float32)

    found = []
    threads = [
        threading.Thread(target=lambda: found.append(kept_features(tmp_path, {"a": 1}, compute))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(found) == 4
    assert all(np.array_equal(array, np.ones((1, 2, 3))) for array in found)


def test_a_failed_computation_leaves_nothing_behind(tmp_path):
    def fail():
        raise UserError("no")

    with pytest.raises(UserError):
        kept_features(tmp_path, {"a": 1}, fail)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_random_transforms_need_a_bank_of_views(tmp_path):
    with pytest.raises(UserError, match="views: V"):
        opened(tmp_path, train=CROPS)
    with pytest.raises(UserError, match="eval transforms must not be random"):
        opened(tmp_path, test=CROPS, views=3)
    assert not (tmp_path / "cache").exists()


def test_a_bank_gives_each_item_one_of_its_views_by_the_seed(tmp_path):
    dataset, trunk = Noise(70), small_trunk()
    inputs = opened(tmp_path, dataset, trunk, train=CROPS, views=3).inputs
    asked = dataset.asked
    assert torch.equal(rows(inputs, "eval"), direct(trunk, dataset, config_of()))
    draws = [rows(inputs, seed=seed) for seed in range(40)]
    different = [len({draw[item].numpy().tobytes() for draw in draws}) for item in range(70)]
    assert max(different) == 3
    assert sum(different) >= 205  # two random crops of such a small image may be equal
    assert torch.equal(rows(inputs, seed=5), draws[5])
    first, second = next(iter(inputs.batches([np.arange(70)], part="train", seed=5, views=2)))
    assert torch.equal(first, draws[5])
    assert not torch.equal(first, second)
    again = opened(tmp_path, dataset, trunk, train=CROPS, views=3).inputs
    assert torch.equal(rows(again, seed=5), draws[5])
    assert dataset.asked == asked + 70  # by the direct forward pass only


def test_views_of_a_deterministic_recipe_are_not_copied(tmp_path):
    opened(tmp_path, views=5)
    (record,) = (tmp_path / "cache" / "features").glob("*.json")
    assert json.loads(record.read_text())["key"]["copies"] == 1


def test_progress_is_one_line_where_there_is_no_terminal(tmp_path, caplog, capsys):
    caplog.set_level("INFO", logger=module.__name__)
    opened(tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        "computing the features of 70 images (small, random weights)"
    ]
    assert capsys.readouterr().err == ""


def test_a_state_s_hash_covers_names_shapes_and_bytes():
    first, second = nn.Linear(2, 3), nn.Linear(2, 3)
    assert state_hash(first) != state_hash(second)
    second.load_state_dict(first.state_dict())
    assert state_hash(first) == state_hash(second)
    assert state_hash(nn.Sequential(first)) != state_hash(first)
    assert state_hash(nn.BatchNorm2d(3)) == state_hash(nn.BatchNorm2d(3))  # has a scalar of integers
