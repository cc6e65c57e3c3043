import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from powerbench.data.finishing import finish
from powerbench.data.images import ImageInputs, Request
from powerbench.data.recipes import build_recipe
from powerbench.errors import UserError
from powerbench.models.trunk_contract import InputSpec
from powerbench.seeding import seed_of, seeded
from tests.data.making import CPU, CROPS, Noise, config_of

RANDOM = {"Resize": {"size": 18}, **CROPS, "ColorJitter": {"brightness": 0.5}}
PLAN = [np.array([3, 1, 4]), np.array([1, 5]), np.array([9, 2, 6, 5])]


def inputs_of(dataset=None, train=None, test=None, workers=0):
    config = config_of(train=train or RANDOM, test=test or {"Resize": {"size": [16, 16]}})
    recipes = {p: build_recipe(getattr(config.transforms, p), where=p) for p in ("train", "eval")}
    return ImageInputs(
        dataset or Noise(), recipes, InputSpec(), device=CPU, workers={"train": workers, "eval": workers}
    )


def drawn(inputs, part="train", seed=7, views=2, plan=PLAN):
    return [view for batch in inputs.batches(plan, part=part, seed=seed, views=views) for view in batch]


def same(first, second):
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_batches_are_what_decoding_and_transforming_each_image_anew_gives():
    dataset = Noise()
    on_bytes = v2.Compose(
        [v2.RandomResizedCrop(16, (0.16, 1), (0.75, 1.33)), v2.RandomHorizontalFlip(0.5), v2.ToPILImage()]
    )
    jitter = v2.ColorJitter(0.5)
    expected = []
    for position, items in enumerate(PLAN):
        for view in range(2):
            images = []
            for place, item in enumerate(items):
                with seeded(seed_of(seed=7, position=position, place=place, view=view)):
                    resized = v2.functional.pil_to_tensor(v2.Resize(18)(dataset.image(item)))
                    images.append(v2.functional.pil_to_tensor(jitter(on_bytes(resized))))
            expected.append(finish(torch.stack(images), InputSpec()))
    assert same(drawn(inputs_of(dataset)), expected)


def test_views_seeds_and_places_draw_differently_and_nothing_else_is_touched():
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    inputs = inputs_of()
    batches = drawn(inputs, plan=[np.array([3, 3]), np.array([3, 3])])
    pictures = [picture for batch in batches for picture in batch]
    assert len({picture.numpy().tobytes() for picture in pictures}) == 8
    assert not same(batches, drawn(inputs, seed=8, plan=[np.array([3, 3]), np.array([3, 3])]))
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])


def test_eval_batches_have_no_chance_in_them():
    inputs = inputs_of()
    first = drawn(inputs, part="eval", seed=1)
    assert same(first, drawn(inputs, part="eval", seed=2))
    assert torch.equal(first[0], first[1])
    assert first[0].shape == (3, 3, 16, 16)


def test_images_that_form_no_batch_are_a_user_error():
    dataset = Noise()
    dataset.image = lambda item: v2.Resize((20 + item, 20))(Noise().image(item))
    with pytest.raises(UserError, match="different sizes"):
        drawn(inputs_of(dataset, test={"Resize": {"size": 16}}), part="eval")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_results_do_not_depend_on_the_number_of_workers(workers):
    before = {child.pid for child in multiprocessing.active_children()}
    expected, other = drawn(inputs_of()), drawn(inputs_of(), seed=8)
    state = torch.get_rng_state()
    inputs = inputs_of(workers=workers)
    assert same(drawn(inputs), expected)
    children = {child.pid for child in multiprocessing.active_children()} - before
    assert len(children) == workers
    next(iter(inputs.batches(PLAN, part="train", seed=8)))  # left before its end
    assert same(drawn(inputs, seed=8), other)
    assert {child.pid for child in multiprocessing.active_children()} - before == children
    assert torch.equal(torch.get_rng_state(), state)
    with torch.inference_mode():
        assert same(drawn(inputs, part="eval"), drawn(inputs_of(), part="eval"))
    outer = inputs.batches(PLAN, part="train")
    next(outer)
    with pytest.raises(RuntimeError, match="already being iterated"):
        drawn(inputs)
    outer.close()
    inputs.close()
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in children)


@pytest.mark.slow
def test_a_user_s_mistake_in_a_worker_is_told_as_in_this_process():
    dataset = Noise()

    def image(item):
        raise UserError(f"cannot decode image {item}", where="file.png")

    dataset.image = image
    for workers in (0, 1):
        inputs = inputs_of(dataset, workers=workers)
        with pytest.raises(UserError, match=r"^file.png: cannot decode image 3$"):
            drawn(inputs)
        inputs.close()


def test_a_maker_of_batches_survives_a_trip_to_a_spawned_process():
    inputs = inputs_of()
    request = Request(0, np.array([1, 2]), "train", 5, 1)
    again = pickle.loads(pickle.dumps(inputs._maker))
    assert torch.equal(again[request][0], inputs._maker[request][0])


PARENT = """
import multiprocessing, sys, time
sys.path.insert(0, "{root}")
from tests.data.test_image_batches import PLAN, inputs_of
batches = inputs_of(workers=2).batches(PLAN, part="train")
next(batches)
print(*[child.pid for child in multiprocessing.active_children()], flush=True)
time.sleep(60)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.slow
def test_workers_end_soon_after_their_parent_was_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(root=Path.cwd())], stdout=subprocess.PIPE, text=True)
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    assert all(alive(pid) for pid in workers)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 2
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)
    parent.stdout.close()
