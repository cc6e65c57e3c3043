"""The cache of decoded images: the same batches as without it."""

import json
import time

import numpy as np
import pytest
import torch
from PIL import Image

from powerbench.data import decoded_images as module
from powerbench.data import inputs
from powerbench.data.decoded_images import DecodedImages, decoded_images
from powerbench.data.inputs import open_inputs
from powerbench.data.recipes import build_recipe
from powerbench.datasets.image_folder import ImageFolder
from powerbench.errors import UserError
from powerbench.models.trunk import Trunk
from powerbench.models.trunk_contract import InputSpec
from powerbench.protocol import NEVER_SEARCHED
from tests.data.filling import MANY, fill, store_in
from tests.data.making import CPU, CROPS, Noise, config_of, places_in

RESIZED = {"Resize": {"size": 18}}
RANDOM = {**RESIZED, **CROPS}


class Size(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :4]


def inputs_of(tmp_path, dataset, **keys):
    trunk = Trunk(Size(), name="size", width=4, input=InputSpec())
    inputs._fitting.clear()  # the trunk is shown an image a part
    return open_inputs(config_of(**keys), dataset, trunk, places_in(tmp_path), CPU).inputs


def drawn(inputs, part="train", seed=3, count=20):
    plan = [np.arange(count)[start : start + 4] for start in range(0, count, 4)] + [np.array([1, 1])]
    return torch.cat([view for views in inputs.batches(plan, part=part, seed=seed, views=2) for view in views])


def stored(tmp_path, suffix=".pixels"):
    return sorted((tmp_path / "cache" / "decoded_images").glob(f"*{suffix}"))


@pytest.mark.parametrize(
    "train",
    [
        RANDOM,
        CROPS,
        {**RANDOM, "ColorJitter": {"brightness": 0.5, "hue": 0.1}},
        {**RESIZED, "ToImage": None, **CROPS, "ConvertImageDtype": None},
        {"Grayscale": None, **RESIZED, "CenterCrop": {"size": 16}},
        {"Resize": {"size": [16, 16], "interpolation": "bicubic"}},
        {"CenterCrop": {"size": 16}},
    ],
)
def test_batches_are_the_same_with_a_cache_filled_or_not_and_without(tmp_path, train):
    keys = {"train": train, "test": {**RESIZED, "CenterCrop": {"size": 16}}}
    alike = next(iter(train.items())) == next(iter(RESIZED.items()))  # then the parts share their images
    for part, images in (("train", 20), ("eval", 0 if alike else 20)):
        dataset = Noise()
        expected = drawn(inputs_of(tmp_path, dataset, cache=False, **keys), part)
        assert dataset.asked == 24  # one a part to see whether the trunk takes the size, one for each item of the plan
        for asked in (images, 0):
            dataset = Noise()
            found = inputs_of(tmp_path, dataset, **keys)
            assert torch.equal(drawn(found, part), expected)
            assert torch.equal(drawn(found, part), expected)
            assert dataset.asked == 2 + asked


def test_nothing_is_created_before_the_first_batch_nor_with_the_cache_off(tmp_path):
    inputs_of(tmp_path, Noise(), train=RANDOM)
    drawn(inputs_of(tmp_path, Noise(), train=RANDOM, cache=False))
    assert not (tmp_path / "cache").exists()


def files_of_kinds(folder):
    """One image file a PIL mode that people have: gray, with alpha, palette with transparency, CMYK, 16 bits."""
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 41, 4), dtype=np.uint8)
    whole = Image.fromarray(pixels)
    whole.convert("RGB").save(folder / "a" / "rgb.jpg")
    whole.convert("L").save(folder / "a" / "gray.jpg")
    whole.save(folder / "a" / "alpha.png")
    whole.convert("RGB").quantize(16).save(folder / "b" / "palette.png", transparency=3)
    whole.convert("CMYK").save(folder / "b" / "cmyk.jpg")
    whole.convert("1").save(folder / "b" / "bits.png")
    whole.convert("LA").save(folder / "b" / "gray_alpha.png")


def test_every_kind_of_image_is_kept_as_it_is_decoded(tmp_path):
    files_of_kinds(tmp_path / "images")
    dataset = ImageFolder(root=str(tmp_path / "images"))
    keys = {"train": RANDOM, "test": {**RESIZED, "CenterCrop": {"size": 16}}}
    expected = [drawn(inputs_of(tmp_path, dataset, cache=False, **keys), part, count=7) for part in ("train", "eval")]
    for _ in range(2):
        found = inputs_of(tmp_path, dataset, **keys)
        assert all(torch.equal(drawn(found, p, count=7), e) for p, e in zip(("train", "eval"), expected, strict=True))
    recipe = build_recipe(config_of(train=RANDOM).transforms.train, where="")
    (path,) = stored(tmp_path)
    kept = DecodedImages(path.with_suffix(""), {}, 7, MANY)
    for item in range(7):
        assert np.array_equal(kept.image(item, lambda: None), recipe.start(dataset.image(item)))


def path_of(tmp_path, images=None, train=RANDOM, **keys):
    config = config_of(train=train, **keys)
    recipes = {"train": build_recipe(config.transforms.train, where="")}
    return decoded_images(config, images or Noise(), recipes, places_in(tmp_path))["train"]._path


def test_whatever_an_image_depends_on_makes_another_file_and_nothing_else_does(tmp_path, monkeypatch):
    path = path_of(tmp_path)
    same = {"seed": 3, "cache_gigabytes": 1.5, "threads_per_run": 2, "workers": 5}
    assert all(path_of(tmp_path, **{key: value}) == path for key, value in same.items())
    assert path_of(tmp_path, dataset={"Noise": {"root": "elsewhere"}}) == path_of(tmp_path, dataset={"Noise": None})
    assert path_of(tmp_path, train={**RESIZED, "ColorJitter": None}) == path
    others = [
        path_of(tmp_path, Noise(22)),
        path_of(tmp_path, train={"Resize": {"size": 19}}),
        path_of(tmp_path, train={"Resize": {"size": 18, "interpolation": "bicubic"}}),
        path_of(tmp_path, dataset={"CUB200": None}),
        path_of(tmp_path, dataset={"mine.py:Boxes": {"crop_to_box": True}}),
        path_of(tmp_path, dataset={"mine.py:Boxes": {"crop_to_box": False}}),
    ]
    installed = module.environment_of_process()
    for name in ("pillow", "torchvision"):
        monkeypatch.setattr(module, "environment_of_process", lambda name=name: {**installed, name: "0.1"})
        others.append(path_of(tmp_path))
    assert len({path, *others}) == 9


def test_a_changed_source_is_another_file_and_one_that_changes_meanwhile_is_not_kept(tmp_path):
    files_of_kinds(tmp_path / "images")
    dataset = ImageFolder(root=str(tmp_path / "images"))
    keys = {"train": RANDOM}
    time.sleep(0.02)  # the clock of file times is coarse
    found = inputs_of(tmp_path, dataset, **keys)
    time.sleep(0.02)
    Image.new("RGB", (41, 30), "red").save(dataset.files[2])
    changed = drawn(found, count=7)
    (path,) = stored(tmp_path)
    kept = DecodedImages(path.with_suffix(""), {}, 7, MANY)
    assert [kept._place(item) is None for item in range(7) if kept._open() is None] == [i == 2 for i in range(7)]
    again = ImageFolder(root=str(tmp_path / "images"))
    assert again.checksum != dataset.checksum
    assert torch.equal(drawn(inputs_of(tmp_path, again, **keys), count=7), changed)
    assert len(stored(tmp_path)) == 2


def test_an_image_that_cannot_be_decoded_is_told_as_without_a_cache(tmp_path):
    def fail():
        raise UserError("cannot read it", where="file")

    with pytest.raises(UserError, match="cannot read it"):
        store_in(tmp_path).image(0, fail)
    assert fill(store_in(tmp_path), [0]) == [0]


def test_images_of_any_size_are_kept_and_belong_to_the_caller(tmp_path):
    store = store_in(tmp_path)
    shapes = [(3, 4), (1, 1), (30, 2), (64, 64)]
    for item, shape in enumerate(shapes):
        assert fill(store, [item], shape) == [item]
        store.image(item, lambda: None)[:] = 0
    assert all(fill(store_in(tmp_path), [item], shape) == [] for item, shape in enumerate(shapes))


def test_the_record_beside_the_images_says_what_they_are_of(tmp_path):
    drawn(inputs_of(tmp_path, Noise(), train=RANDOM))
    (path,) = stored(tmp_path, ".json")
    key = json.loads(path.read_text())
    assert key["dataset"]["checksum"] == Noise().checksum
    assert key["transforms"] == '[["Resize", {"size": 18}]]'


def test_it_is_a_matter_of_the_machine_and_belongs_to_no_protocol():
    from powerbench.config.free import is_free

    assert all(is_free(key) and key in NEVER_SEARCHED for key in ("cache", "cache_gigabytes"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_fill_it_and_the_batches_are_those_of_one_process(tmp_path, workers):
    expected = drawn(inputs_of(tmp_path, Noise(), train=RANDOM, cache=False))
    for _ in range(2):
        found = inputs_of(tmp_path, Noise(), train=RANDOM, workers=workers)
        assert torch.equal(drawn(found), expected)
        assert torch.equal(drawn(found), expected)
        found.close()
    (path,) = stored(tmp_path)
    shape = np.asarray(build_recipe(config_of(train=RANDOM).transforms.train, where="").start(Noise().image(0))).shape
    assert path.stat().st_size == 20 * np.prod(shape)
