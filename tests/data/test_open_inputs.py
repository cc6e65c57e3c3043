import numpy as np
import pytest
import torch
from torch import nn

from powerbench.data.inputs import open_inputs
from powerbench.data.sizes import refuse_size
from powerbench.datasets.opening import open_dataset
from powerbench.errors import UserError
from powerbench.models.building import build_trunk
from powerbench.models.trunk import Trunk
from powerbench.models.trunk_contract import InputSpec
from tests.data.making import CPU, CROPS, Noise, config_of, places_in


def fixed_size_trunk(size):
    return Trunk(nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, 4)), name="fixed", width=4, input=InputSpec())


def test_images_go_to_the_trunk_as_they_are_if_it_is_not_frozen(tmp_path):
    trunk = fixed_size_trunk(16)
    found = open_inputs(config_of(train=CROPS), Noise(), trunk, places_in(tmp_path), CPU)
    assert found.trunk is trunk
    assert not (tmp_path / "cache").exists()
    ((images,),) = found.inputs.batches([np.array([0, 1])], part="train", seed=3)
    assert images.shape == (2, 3, 16, 16)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_size_the_trunk_does_not_take_is_refused_before_anything_is_computed(tmp_path, frozen):
    config = config_of(test={"Resize": {"size": [20, 20]}}, train={"Resize": {"size": [20, 20]}}, freeze_trunk=frozen)
    with pytest.raises(UserError, match=r"transforms/\w+: .*20 x 20 pixels.*16 x 16 pixels"):
        open_inputs(config, Noise(), fixed_size_trunk(16), places_in(tmp_path), CPU)
    assert not list(tmp_path.rglob("*.npy"))


def test_without_a_size_nearby_the_trunk_s_own_words_are_told():
    with pytest.raises(UserError, match=r"It says: .*shapes cannot be multiplied"):
        refuse_size(fixed_size_trunk(300), torch.zeros(1, 3, 20, 20), where="here")


def test_a_transform_recipe_that_fails_is_a_user_error_before_training(tmp_path):
    config = config_of(test={"Resize": {"size": [1, 2, 3]}})
    with pytest.raises(UserError, match="Resize"):
        open_inputs(config, Noise(), fixed_size_trunk(16), places_in(tmp_path), CPU)


@pytest.mark.slow
def test_emoji_features_of_efficientnet_lite0_separate_classes(tmp_path):
    """Frozen ImageNet features at 96 pixels: R@1 about one half on the emoji (see the fact sheet), chance is 0.5 %."""
    config = config_of(
        {"efficientnet_lite0": None}, train={"Resize": {"size": 96}}, test={"Resize": {"size": 96}}, freeze_trunk=True
    )
    places = places_in(tmp_path)
    dataset = open_dataset(config, places)
    found = open_inputs(config, dataset, build_trunk(config, places, seed=0), places, CPU)
    labels = dataset.index.labels[:, 0]
    features = next(iter(found.inputs.batches([np.arange(len(labels))], part="eval")))[0]
    features = nn.functional.normalize(features - features.mean(0))
    similarity = (features @ features.T).fill_diagonal_(-2)
    precision = (labels[similarity.argmax(1).numpy()] == labels).mean()
    assert 0.4 < precision < 0.7


VIEWS = {"augmentation2": {"Resize": {"size": [16, 16]}}, "augmentation10": CROPS, "augmentation1": CROPS}


def with_views(**keys):
    config = config_of(**keys)
    transforms = {**config.plain()["transforms"], **VIEWS}
    return type(config).from_plain({**config.plain(), "transforms": transforms})


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_each_view_may_have_a_recipe_of_its_own(tmp_path, workers):
    dataset, items = Noise(), np.array([3, 0, 3])
    found = open_inputs(
        with_views(train={"Pad": {}}, workers=workers), dataset, fixed_size_trunk(16), places_in(tmp_path), CPU
    )
    ((first, second, third),) = found.inputs.batches([items], part="train", seed=3, views=3)
    ((whole,),) = found.inputs.batches([items], part="eval")
    found.inputs.close()
    assert torch.equal(second, whole)  # augmentation2 is the eval recipe
    alone = open_inputs(config_of(train=CROPS), dataset, fixed_size_trunk(16), places_in(tmp_path), CPU).inputs
    ((expected, _, another),) = alone.batches([items], part="train", seed=3, views=3)
    assert torch.equal(first, expected)
    assert torch.equal(third, another)  # in the order of the numbers
    assert not torch.equal(first, third)


def test_frozen_views_come_from_the_banks_of_their_recipes(tmp_path):
    config = with_views(freeze_trunk=True, views=4)
    found = open_inputs(config, Noise(), fixed_size_trunk(16), places_in(tmp_path), CPU)
    ((first, second, third),) = found.inputs.batches([np.arange(20)], part="train", seed=3, views=3)
    ((whole,),) = found.inputs.batches([np.arange(20)], part="eval")
    assert torch.equal(second, whole)
    assert not torch.equal(first, third)  # two draws from one bank
    shapes = sorted(np.load(path).shape for path in (tmp_path / "cache" / "features").glob("*.npy"))
    assert shapes == [(1, 20, 4), (4, 20, 4)]


def test_frozen_views_must_not_be_random_without_a_bank(tmp_path):
    with pytest.raises(UserError, match=r"transforms/augmentation1: freeze_trunk keeps features"):
        open_inputs(with_views(freeze_trunk=True), Noise(), fixed_size_trunk(16), places_in(tmp_path), CPU)
