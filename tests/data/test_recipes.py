import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as first_generation
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from powerbench.classes import class_names
from powerbench.data.finishing import finish
from powerbench.data.images import ImageInputs
from powerbench.data.recipes import build_recipe, is_deterministic, stack
from powerbench.data.transforms.convert_to_bgr import ConvertToBGR
from powerbench.data.transforms.random_resized_crop import RandomResizedCrop
from powerbench.errors import UserError
from powerbench.models.trunk_contract import InputSpec
from tests.data.making import CPU, CROPS, Noise, config_of

BNINCEPTION = InputSpec(mean=(104.0, 117.0, 128.0), std=(1.0, 1.0, 1.0), space="BGR", range=(0.0, 255.0))


def image(width=24, height=20, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def recipe(steps):
    return build_recipe(config_of(train=steps).transforms.train, where="transforms/train")


def finished(built, picture, spec):
    return finish(stack([built.end(built.start(picture))]), spec)


@pytest.mark.parametrize("spec", [BNINCEPTION, InputSpec()])
def test_a_finished_image_is_what_the_predecessor_s_transforms_give(spec):
    """The published pipeline, spelled out: ConvertToBGR, Resize, CenterCrop, ToTensor, Multiplier, Normalize."""
    picture = image()
    channels = picture.split()[::-1] if spec.space == "BGR" else picture.split()
    swapped = Image.merge("RGB", channels)
    cropped = first_generation.CenterCrop(16)(first_generation.Resize(18)(swapped))
    expected = first_generation.ToTensor()(cropped) * spec.range[1]
    expected = first_generation.Normalize(spec.mean, spec.std)(expected)
    found = finished(recipe({"Resize": {"size": 18}, "CenterCrop": {"size": 16}}), picture, spec)
    assert found.is_contiguous()
    assert found.dtype == torch.float32
    assert torch.equal(found[0], expected)


def test_a_batch_is_finished_as_its_images_one_by_one():
    pictures = [functional.pil_to_tensor(image(16, 16, seed)) for seed in range(5)]
    together = finish(stack(pictures), BNINCEPTION)
    assert torch.equal(together, torch.cat([finish(stack([picture]), BNINCEPTION) for picture in pictures]))


def test_recipes_that_end_in_float_tensors_give_the_same_images():
    as_floats = recipe({"Resize": {"size": [16, 16]}, "ToImage": None, "ConvertImageDtype": None})
    as_bytes = recipe({"Resize": {"size": [16, 16]}})
    torch.testing.assert_close(
        finished(as_floats, image(), BNINCEPTION), finished(as_bytes, image(), BNINCEPTION), atol=1e-4, rtol=0
    )


def test_gray_images_get_three_channels_and_anything_else_is_refused():
    assert finished(recipe({"Grayscale": None}), image(), InputSpec()).shape == (1, 3, 20, 24)
    with pytest.raises(UserError, match="three channels"):
        finished(recipe({"ToImage": None, "Grayscale": None}), image(), InputSpec())


def test_strings_of_numbers_are_lists_and_interpolations_have_names():
    built = recipe(
        {
            "Resize": {"size": 18, "interpolation": "bicubic"},
            "RandomResizedCrop": {"size": 16, "scale": "0.16 1", "ratio": "0.75 1.33"},
        }
    )
    assert tuple(built.tail[0].scale) == (0.16, 1)
    assert tuple(built.tail[0].ratio) == (0.75, 1.33)
    assert built.head[0].interpolation == v2.InterpolationMode.BICUBIC
    with pytest.raises(UserError, match="Did you mean bicubic"):
        recipe({"Resize": {"size": 18, "interpolation": "bicubik"}})


def test_the_deterministic_head_ends_at_the_first_random_step():
    built = recipe({"Resize": {"size": 18}, **CROPS, "CenterCrop": {"size": 8}})
    assert [type(step).__name__ for step in built.head] == ["Resize"]
    assert [type(step).__name__ for step in built.tail] == ["RandomResizedCrop", "RandomHorizontalFlip", "CenterCrop"]
    assert not built.deterministic
    cropped = recipe({"Pad": {"padding": 1}, "Resize": {"size": 18}, "CenterCrop": {"size": 8}})
    assert [type(step).__name__ for step in cropped.head] == ["Pad", "Resize"]  # cropping costs nothing
    assert cropped.deterministic
    assert cropped.head_text == recipe({"Pad": {"padding": 1}, "Resize": {"size": 18}, **CROPS}).head_text
    assert not recipe({**CROPS, "Resize": {"size": 18}}).head
    assert recipe({"Resize": {"size": 18}}).deterministic
    assert recipe({}).deterministic


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({}, True),
        ({"Resize": {"size": 3}, "Pad": {"padding": 1}}, True),
        (CROPS, False),
        ({"ColorJitter": None}, False),
    ],
)
def test_what_counts_as_deterministic(steps, expected):
    assert is_deterministic(config_of(train=steps).transforms.train) is expected


def test_a_user_s_own_transform_is_taken_to_be_random(tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Invert:\n    def __call__(self, image):\n        return image.point(lambda v: 255 - v)\n"
    )
    built = recipe({f"{tmp_path}/mine.py:Invert": None})
    assert not built.deterministic
    assert torch.equal(built.end(built.start(image())), 255 - functional.pil_to_tensor(image()))


@pytest.mark.parametrize("name", ["ConvertToBGR", "Normalize"])
def test_what_is_appended_by_itself_is_refused_in_a_recipe(name):
    with pytest.raises(UserError, match="leave it out"):
        recipe({name: None})


def test_bad_arguments_are_user_errors():
    with pytest.raises(UserError, match="RandomResizedCrop"):
        recipe({"RandomResizedCrop": {"size": [1, 2, 3]}})


def test_images_of_different_sizes_are_no_batch():
    with pytest.raises(UserError, match="24 x 20 and 20 x 24"):
        stack([functional.pil_to_tensor(image(20, 24)), functional.pil_to_tensor(image(24, 20))])


def test_convert_to_bgr_takes_images_and_tensors():
    picture = image()
    tensor = v2.functional.pil_to_tensor(picture)
    assert torch.equal(v2.functional.pil_to_tensor(ConvertToBGR()(picture)), ConvertToBGR()(tensor))
    assert torch.equal(ConvertToBGR()(tensor)[0], tensor[2])


@pytest.mark.parametrize("size", [(24, 20), (341, 256), (256, 300), (15, 40)])
def test_deterministic_recipes_give_the_bytes_of_pil_images(size):
    picture = image(*size)
    for steps in (
        {"Resize": {"size": 18}, "CenterCrop": {"size": 16}},
        {"CenterCrop": {"size": [17, 30]}},
        {
            "Resize": {"size": 19},
            "Grayscale": {"num_output_channels": 3},
            "Pad": {"padding": 2, "padding_mode": "reflect"},
        },
        {"Resize": {"size": [17, 16], "interpolation": "bicubic"}, "RGB": None, "Identity": None},
    ):
        built = recipe(steps)
        expected = picture
        for name, arguments in steps.items():
            expected = getattr(v2, name)(**{**(arguments or {}), **_interpolation(arguments)})(expected)
        assert torch.equal(built.end(built.start(picture)), functional.pil_to_tensor(expected))


def _interpolation(arguments):
    return {"interpolation": v2.InterpolationMode.BICUBIC} if "interpolation" in (arguments or {}) else {}


def test_our_random_resized_crop_draws_and_computes_as_torchvision_s():
    picture = image(90, 70)
    for form in (picture, functional.pil_to_tensor(picture), torch.from_numpy(np.array(picture)).permute(2, 0, 1)):
        for arguments in ({"size": 33}, {"size": [20, 31], "scale": (0.1, 0.5), "interpolation": 3}):
            for seed in range(5):
                results = []
                for make in (v2.RandomResizedCrop, RandomResizedCrop):
                    torch.manual_seed(seed)
                    results.append(make(**arguments)(form))
                assert np.array_equal(*map(np.asarray, results))


def test_each_transform_works_on_its_faster_form_until_the_recipe_or_the_user_chooses_one(tmp_path):
    (tmp_path / "mine.py").write_text("class Same:\n    def __call__(self, image):\n        return image\n")
    mine = {f"{tmp_path}/mine.py:Same": None}

    def forms(steps):
        return " ".join(recipe(steps).forms)

    assert (
        forms({"Resize": {"size": 18}, **CROPS, "ColorJitter": None, "RandomBlur": None}) == "bytes bytes image bytes"
    )
    inside = {"transforms": {"RandomBlur": None, "ShiftRotate": None}}
    assert forms({"RandomApply": inside}) == "bytes"
    assert forms({"RandomChoice": {"transforms": {**inside["transforms"], "ColorJitter": None}}}) == "image"
    assert (
        forms({**CROPS, **mine, "RandomInvert": None, "RandomBlur": None})
        == "bytes bytes image as it comes as it comes"
    )
    assert forms({"ToImage": None, **CROPS}) == "image as it comes as it comes"


def test_every_transform_of_torchvision_is_known_by_name_and_nothing_else_of_its_module():
    names = class_names("transform")
    theirs = [name for name, found in vars(v2).items() if isinstance(found, type) and issubclass(found, v2.Transform)]
    assert len(theirs) > 60
    assert set(theirs) - {"Transform"} <= set(names)
    assert not {"Transform", "InterpolationMode", "AutoAugmentPolicy"} & set(names)


ARGUMENTS = {
    **{name: {"size": 20} for name in ("CenterCrop", "RandomCrop", "RandomResizedCrop")},
    **{name: {"degrees": 10} for name in ("RandomAffine", "RandomRotation")},
    "Resize": {"size": [20, 20]},
    "Pad": {"padding": 2},
    "JPEG": {"quality": 80},
    "ColorJitter": {"hue": 0.1},
    "RandomPosterize": {"bits": 4},
    "RandomSolarize": {"threshold": 100},
    "RandomAdjustSharpness": {"sharpness_factor": 2},
    "GaussianBlur": {"kernel_size": 3},
    "RandomResize": {"min_size": 20, "max_size": 22},
    "RandomShortestSize": {"min_size": 20},
    "ScaleJitter": {"target_size": [20, 20]},
    "RandomApply": {"transforms": {"RandomInvert": None}},
}


@pytest.mark.parametrize(
    "name",
    [
        *ARGUMENTS,
        *("RandomErasing", "AugMix", "AutoAugment", "RandAugment", "TrivialAugmentWide", "Grayscale", "RGB", "ToImage"),
        *("RandomAutocontrast", "RandomChannelPermutation", "RandomEqualize", "RandomGrayscale", "RandomInvert"),
        *("RandomPhotometricDistort", "ElasticTransform", "RandomPerspective", "RandomZoomOut"),
        *("RandomHorizontalFlip", "RandomVerticalFlip", "Identity", "PILToTensor", "ToPureTensor"),
    ],
)
def test_each_transform_of_torchvision_that_gives_an_image_makes_one(name):
    built = recipe({name: ARGUMENTS.get(name)})
    found = finished(built, image(44, 40), InputSpec())
    assert found.shape[:2] == (1, 3)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("MixUp", "MixUp.. does not support PIL images"),
        ("TenCrop", "give a tuple, not an image"),
        ("RandomIoUCrop", "bounding boxes"),
    ],
)
def test_transforms_for_other_things_than_images_are_a_user_s_mistake(name, told):
    args = {"size": 20} if name == "TenCrop" else None
    inputs = ImageInputs(Noise(), {"train": recipe({name: args})}, InputSpec(), device=CPU, workers={"train": 0})
    with pytest.raises(UserError, match=told) as error:
        inputs.sample("train")
    assert "config_transforms" in str(error.value)
