"""Random steps that the device computes: the same bytes as from the workers. The CPU is a device like another here."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from powerbench.config.free import is_free
from powerbench.data.images import ImageInputs
from powerbench.data.recipes import build_recipe
from powerbench.data.taps import developed, gathered, resized
from powerbench.errors import Stopped, UserError
from powerbench.models.trunk_contract import InputSpec
from powerbench.training import train_fold
from tests.data.making import CPU, CROPS, Noise, config_of
from tests.training.interrupting import StopAt, same, without_times
from tests.training.test_loop import weights
from tests.training.tiny import tiny_job

PLAN = [np.array([3, 1, 4, 1]), np.array([5]), np.array([9, 2, 6, 5, 3])]
FLIPS = {"RandomHorizontalFlip": {"p": 0.5}, "RandomVerticalFlip": {"p": 0.5}}


class OfManySizes(Noise):
    """Images each of its own size."""

    def image(self, item):
        height, width = 20 + 7 * item % 31, 20 + 11 * item % 43
        return Image.fromarray(np.random.default_rng(item).integers(0, 256, (height, width, 3), dtype=np.uint8))


def drawn(steps, *, on_device, workers=0, views=2, seed=7):
    steps = config_of(train=steps).transforms.train
    recipes = {"train": build_recipe(steps, where="transforms/train", on_device=on_device)}
    assert bool(recipes["train"].put_off) == on_device
    inputs = ImageInputs(OfManySizes(), recipes, InputSpec(), device=CPU, workers={"train": workers})
    made = [view for batch in inputs.batches(PLAN, part="train", seed=seed, views=views) for view in batch]
    inputs.close()
    return made


@pytest.mark.parametrize("sizes", [(1, 1), (1, 9), (40, 64), (341, 227), (227, 341), (256, 17), (500, 33), (75, 224)])
def test_weights_are_those_of_torch_to_the_last_bit(sizes):
    length, size = sizes
    for height, width in ((length, 19), (23, length), (length + 1, length)):
        pixels = np.random.default_rng(length).integers(0, 256, (height, width, 3), dtype=np.uint8)
        pixels[: height // 2] = np.where(pixels[: height // 2] > 127, 255, 0)
        expected = functional.resize(torch.from_numpy(pixels).permute(2, 0, 1), [size, size + 2])
        found = developed(gathered([(pixels, resized(height, size), resized(width, size + 2))]))
        assert torch.equal(found[0], expected)


@pytest.mark.parametrize(
    "steps",
    [
        {"Resize": {"size": 24}, **CROPS},
        {"RandomResizedCrop": {"size": [31, 16], "scale": [0.05, 1]}},
        {"RandomResizedCrop": {"size": 40, "interpolation": "Bilinear"}, **FLIPS},
        {"RandomCrop": {"size": [20, 18]}, **FLIPS},
        {"Resize": {"size": 30}, "CenterCrop": {"size": 28}, "RandomCrop": {"size": 25}, **CROPS},
        {"Resize": {"size": [16, 18]}, **FLIPS},
    ],
)
def test_the_device_gives_the_batches_of_the_workers(steps):
    expected = drawn(steps, on_device=False)
    found = drawn(steps, on_device=True)
    assert len(found) == 6
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[0], drawn(steps, on_device=True, seed=8)[0])


@pytest.mark.slow
def test_nor_do_they_depend_on_the_number_of_workers():
    expected = drawn(CROPS, on_device=False)
    assert all(torch.equal(a, b) for a, b in zip(drawn(CROPS, on_device=True, workers=2), expected, strict=True))


def test_images_that_would_form_no_batch_are_a_user_error():
    with pytest.raises(UserError, match="different sizes"):
        drawn({"Resize": {"size": 20}, **FLIPS}, on_device=True)


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ({"RandomResizedCrop": {"size": 16}, "ColorJitter": None}, "ColorJitter runs on the CPU only"),
        ({"RandomGrayscale": None, **CROPS}, "RandomGrayscale"),
        ({"RandomCrop": {"size": 16, "padding": 0}}, "RandomCrop"),
        ({"RandomCrop": {"size": 16, "pad_if_needed": True}}, "RandomCrop"),
        ({"RandomResizedCrop": {"size": 16, "interpolation": "bicubic"}}, "RandomResizedCrop"),
        ({"RandomResizedCrop": {"size": 16, "antialias": False}}, "RandomResizedCrop"),
        ({"RandomHorizontalFlip": None, "RandomResizedCrop": {"size": 16}}, "after RandomHorizontalFlip"),
        ({**CROPS, "CenterCrop": {"size": 8}}, "CenterCrop"),
        ({"ToImage": None, **CROPS}, "ToImage"),
    ],
)
def test_what_the_device_cannot_do_is_refused_by_name(steps, named):
    with pytest.raises(UserError, match=named) as error:
        drawn(steps, on_device=True)
    assert "Leave augment_on: workers" in str(error.value)
    assert "transforms/train" in str(error.value)


def test_a_user_s_own_class_is_refused_and_a_recipe_without_chance_is_not(tmp_path):
    (tmp_path / "mine.py").write_text("class Same:\n    def __call__(self, image):\n        return image\n")
    with pytest.raises(UserError, match=r"mine\.py:Same runs on the CPU only"):
        drawn({f"{tmp_path}/mine.py:Same": None, **CROPS}, on_device=True)
    steps = config_of(train={"Resize": {"size": 20}}).transforms.train
    assert not build_recipe(steps, where="transforms/train", on_device=True).put_off


def test_where_images_are_augmented_changes_no_result_and_may_change_in_the_middle(tmp_path):
    assert is_free("augment_on")
    recipes = {"train": {"RandomResizedCrop": {"size": 7}, "RandomHorizontalFlip": {"p": 0.5}}, "eval": {}}

    def job(folder, where):
        return tiny_job(tmp_path / folder, transforms=recipes, augment_on=where)

    expected = train_fold(job("workers", "workers"))
    with pytest.raises(Stopped):
        train_fold(job("both", "workers"), should_stop=StopAt(8))
    result = train_fold(job("both", "device"))
    assert without_times(result) == without_times(expected)
    assert same(weights(job("both", "device")), weights(job("workers", "workers")))


@pytest.mark.slow
def test_a_cpu_that_resizes_otherwise_is_refused():
    code = (
        "from powerbench.config.schema import ClassSpec\n"
        "from powerbench.data.recipes import build_recipe\n"
        "step = ClassSpec.model_validate({'RandomResizedCrop': {'size': 8}})\n"
        "build_recipe([step], where='transforms/train', on_device=True)\n"
    )
    without = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    ended = subprocess.run([sys.executable, "-c", code], env=without, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "leave augment_on: workers" in ended.stderr
