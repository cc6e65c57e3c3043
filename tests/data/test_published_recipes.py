"""The named recipes of other systems have their published parameters, and our transforms do what they say."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from powerbench.config.merged import load_config
from powerbench.config.search_keys import fill, first_values
from powerbench.config.typed import typed
from powerbench.data.randomness import generators_restored, reseed
from powerbench.data.recipes import build_recipe
from powerbench.data.transforms.coarse_dropout import CoarseDropout
from powerbench.data.transforms.random_blur import RandomBlur, blurred
from powerbench.data.transforms.random_brightness_contrast import RandomBrightnessContrast
from powerbench.data.transforms.shift_rotate import ShiftRotate, shifted_and_rotated
from powerbench.errors import UserError
from tests.data.making import config_of

CROP, FLIP = "RandomResizedCrop 224x224 (0.08, 1.0) (0.75, 1.3333)", "RandomHorizontalFlip 0.5"
ROTATE = "ShiftRotate 0.0625 45 0.5"
HOLES = ["CoarseDropout (1, 5) (40, 40) (40, 40) 0.5", "RandomBlur 7 0.5"]
PUBLISHED = {
    "revisiting": [CROP, FLIP],
    "revisiting_adv": [CROP, "RandomGrayscale 0.2", "ColorJitter 0.2 0.2 0.2 0.2", FLIP],
    "revisiting_big": [CROP.replace("224", "256"), FLIP],
    "revisiting_red": ["Resize 256", "RandomCrop 224x224", FLIP],
    "divide_and_conquer_geom": [ROTATE, CROP, FLIP, *HOLES],
    "divide_and_conquer_geom_color": [CROP, "RandomBrightnessContrast 0.2 0.2 0.5", FLIP, ROTATE, *HOLES],
    "divide_and_conquer_color_heavy": [
        CROP,
        FLIP,
        "RandomApply 0.8 [ColorJitter 0.4 0.4 0.4 0.1]",
        "RandomGrayscale 0.2",
    ],
}


def described(step):
    """The parameters of a built transform, as it will use them."""
    name = type(step).__name__
    sides = "x".join(map(str, getattr(step, "size", ())))

    def spread(value, centre=1.0):
        assert value[0] == pytest.approx(2 * centre - value[1])
        return f"{value[1] - centre:.1f}"

    texts = {
        "RandomResizedCrop": lambda: f"{sides} {tuple(step.scale)} ({step.ratio[0]:.2f}, {step.ratio[1]:.4f})",
        "RandomHorizontalFlip": lambda: f"{step.p}",
        "RandomGrayscale": lambda: f"{step.p}",
        "ColorJitter": lambda: " ".join(
            [spread(step.brightness), spread(step.contrast), spread(step.saturation), spread(step.hue, 0.0)]
        ),
        "Resize": lambda: sides,
        "CenterCrop": lambda: sides,
        "RandomCrop": lambda: sides,
        "ShiftRotate": lambda: f"{step.shift_limit} {step.rotate_limit} {step.p}",
        "CoarseDropout": lambda: f"{step.holes} {step.height} {step.width} {step.p}",
        "RandomBlur": lambda: f"{step.max_size} {step.p}",
        "RandomBrightnessContrast": lambda: f"{step.brightness_limit} {step.contrast_limit} {step.p}",
        "RandomApply": lambda: f"{step.p} [{', '.join(described(inner) for inner in step.transforms)}]",
    }
    return f"{name} {texts[name]()}"


def picture(width=300, height=280):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_named_recipe_has_the_published_transforms_in_order(name):
    merged = load_config({"config_transforms": [name]}, {})
    transforms = typed(fill(merged, first_values(merged)), merged).transforms
    train, test = (build_recipe(steps, where="transforms") for steps in (transforms.train, transforms.eval))
    assert [described(step).replace("(0.75, ", "(0.75, ") for step in (*train.head, *train.tail)] == PUBLISHED[name]
    side = 256 if name == "revisiting_big" else 224
    assert [described(step) for step in (*test.head, *test.tail)] == ["Resize 256", f"CenterCrop {side}x{side}"]
    image = train.start(picture())
    with generators_restored():
        drawn = []
        for seed in (1, 2, 1):
            reseed(seed)
            drawn.append(train.end(image))
    assert drawn[0].shape == (3, side, side)
    assert drawn[0].dtype == torch.uint8
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


def mirrored(place, size):
    """A position outside of 0 .. size - 1 mirrored at the first and the last pixel."""
    place = abs(place) % (2 * (size - 1))
    return min(place, 2 * (size - 1) - place)


@pytest.mark.parametrize(("degrees", "right", "down"), [(0, 0.25, 0), (0, 0, -0.5), (30, 0.1, 0.05), (-45, 0, 0)])
def test_rotation_and_shift_pixel_by_pixel(degrees, right, down):
    pixels = torch.randint(0, 256, (3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = np.zeros((3, 8, 12))
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    for row in range(8):
        for column in range(12):
            u, v = column - 6 - right * 12, row - 4 - down * 8
            x, y = mirrored(cosine * u - sine * v + 6, 12), mirrored(sine * u + cosine * v + 4, 8)
            left, top = min(int(x), 10), min(int(y), 6)
            a, b = x - left, y - top
            corner = pixels[:, top : top + 2, left : left + 2].numpy().astype(float)
            upper, lower = (corner[:, n, 0] * (1 - a) + corner[:, n, 1] * a for n in (0, 1))
            expected[:, row, column] = upper * (1 - b) + lower * b
    np.testing.assert_allclose(shifted_and_rotated(pixels, degrees, right, down), expected, atol=0.01)


def test_rotation_is_anticlockwise_and_shift_to_the_right_and_down():
    pixels = torch.zeros(3, 9, 9, dtype=torch.uint8)
    pixels[:, 4, 7] = 255
    turned = shifted_and_rotated(pixels, 90, 0, 0)[0]
    assert divmod(int(turned.argmax()), 9)[0] < 4
    assert shifted_and_rotated(pixels, 0, 1 / 9, 2 / 9)[0, 6, 8] == pytest.approx(255, abs=0.1)


@pytest.mark.parametrize("side", [3, 5, 7])
def test_blur_is_the_mean_of_a_square_with_mirrored_borders(side):
    pixels = torch.randint(0, 256, (3, 9, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    reach = range(-(side // 2), side // 2 + 1)
    for row, column in ((0, 0), (4, 5), (8, 1)):
        square = [pixels[0, mirrored(row + i, 9), mirrored(column + j, 10)].item() for i in reach for j in reach]
        assert blurred(pixels, side)[0, row, column].item() == pytest.approx(np.mean(square), abs=1e-3)


def test_brightness_and_contrast_are_one_line_for_all_pixels():
    gray = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).repeat(3, 1, 1)
    with generators_restored():
        reseed(3)
        found = [RandomBrightnessContrast(0.2, 0.2, p=1)(gray)[0].flatten().double() for _ in range(200)]
    inside = [values[60:150] for values in found]
    slopes = torch.stack([(values[-1] - values[0]) / 89 for values in inside])
    offsets = torch.stack([values[0] - 60 * slope for values, slope in zip(inside, slopes, strict=True)])
    assert 0.79 < slopes.min() < 0.83
    assert 1.17 < slopes.max() < 1.21
    assert -53 < offsets.min() < -45
    assert 45 < offsets.max() < 53


def test_holes_are_black_rectangles_of_the_given_number_and_size():
    white = torch.full((3, 50, 60), 255, dtype=torch.uint8)
    with generators_restored():
        reseed(0)
        fixed = [CoarseDropout(1, 40, 40, p=1)(white) for _ in range(20)]
        many = [CoarseDropout(3, 2, 2, min_holes=1, p=1)(white) for _ in range(300)]
    for image in fixed:
        black = (image == 0).all(dim=0)
        assert black.sum() == 1600
        assert black.any(0).sum() == black.any(1).sum() == 40
    counts = Counter(int((image == 0)[0].sum()) for image in many)
    assert set(counts) >= {4, 8, 12}
    assert max(counts) == 12
    assert 60 < counts[4] < 140


@pytest.mark.parametrize("transform", [ShiftRotate, CoarseDropout, RandomBlur, RandomBrightnessContrast])
def test_each_happens_with_its_probability_on_images_and_tensors_alike(transform):
    image = picture(24, 20)
    tensor = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    changed = 0
    with generators_restored():
        for seed in range(200):
            results = []
            for form in (image, tensor):
                reseed(seed)
                results.append(transform(p=0.25)(form))
            assert isinstance(results[0], Image.Image)
            assert np.array_equal(np.asarray(results[0]), results[1].permute(1, 2, 0).numpy())
            changed += not torch.equal(results[1], tensor)
    assert 25 < changed < 75


def test_arguments_of_torchvision_are_written_by_name():
    steps = {
        "AutoAugment": {"policy": "cifar10"},
        "RandomChoice": {"transforms": {"RandomInvert": {"p": 1}, "Identity": None}},
        "ToImage": None,
        "ToDtype": {"dtype": "float32", "scale": True},
    }
    built = build_recipe(config_of(train=steps).transforms.train, where="transforms/train")
    assert built.end(built.start(picture(32, 32))).dtype == torch.float32
    with pytest.raises(UserError, match="Did you mean cifar10"):
        build_recipe(config_of(train={"AutoAugment": {"policy": "cifar"}}).transforms.train, where="transforms/train")


@pytest.mark.parametrize(
    "make",
    [lambda: RandomBlur(4), lambda: RandomBlur(1), lambda: CoarseDropout(2, min_holes=3), lambda: CoarseDropout(0)],
)
def test_sizes_that_cannot_work_are_refused(make):
    with pytest.raises(UserError, match="must be"):
        make()
