"""A trained model is used elsewhere: out of a folder alone, by our function and without any of our code."""

import copy
import io
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import powerbench
from powerbench.datasets.image_files import decode_image
from powerbench.errors import UserError
from split_managers.class_disjoint_split_manager import ClassDisjointSplitManager
from tests.driver.world import World
from tests.legacy.old_folders import save_models, write_configs
from tests.reference.brute_force_retrieval import brute_force
from tests.training import tiny

pytestmark = pytest.mark.slow

NAME = "cub_multi_similarity"
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(name="trained", scope="module")
def _trained(tmp_path_factory):
    """A world with a finished search that tests only look at."""
    world = World(tmp_path_factory.mktemp("trained"))
    assert world.run(NAME, "--search_strategy", "random", trials=2, reproductions=1) == 0
    return world


@pytest.fixture(name="sent", scope="module")
def _sent(trained, tmp_path_factory):
    """The experiment's folder somewhere else, without the results store."""
    return shutil.copytree(trained.root / NAME, tmp_path_factory.mktemp("sent") / "folder")


def images_of_test():
    """What the tiny world's split manager calls test, straight from the dataset."""
    data = tiny.TinyImages(noise=150.0)
    split = ClassDisjointSplitManager(test_size=0.5, test_start_idx=0.5, num_training_partitions=2, num_training_sets=2)
    items = split.folds(data.index)[0].tests["test"].items()
    return [data.image(item) for item in items], data.index.labels[items, 0]


def measured(loaded, metric="map_at_r"):
    model, transform = loaded
    images, labels = images_of_test()
    with torch.inference_mode():
        embeddings = model(torch.stack([transform(image) for image in images]))
    assert embeddings.norm(dim=1).numpy() == pytest.approx(1, abs=1e-6)
    return brute_force(embeddings.numpy(), labels, [metric])[metric]


def stored(world, kind, mode, name=NAME):
    rows = [row for row in world.rows("evaluations") if row[:2] == (name, kind)]
    (value,) = (row[7] for row in rows if row[3:7] == ("test", mode, "trained", "map_at_r"))
    return value


@pytest.mark.parametrize(("trial", "kind"), [(None, "search"), ("reproduction:0", "reproduction")])
def test_embedding_the_test_split_gives_the_stored_metrics(trained, sent, trial, kind):
    ensemble = powerbench.load_model(sent, trial=trial)
    assert measured(ensemble) == pytest.approx(stored(trained, kind, "concatenated"), abs=1e-9)
    separate = [measured(powerbench.load_model(sent, fold=fold, trial=trial)) for fold in (0, 1)]
    assert np.mean(separate) == pytest.approx(stored(trained, kind, "separate"), abs=1e-9)
    assert ensemble.module(torch.zeros(3, 3, 8, 8)).shape == (3, 10), "two folds of 5 dimensions"


@pytest.mark.parametrize("fold", [None, 0])
def test_the_module_can_be_copied_pickled_and_saved(sent, fold):
    module = powerbench.load_model(sent, fold=fold).module
    saved = io.BytesIO()
    torch.save(module, saved)
    saved.seek(0)
    images = torch.randn(2, 3, 8, 8)
    again = (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(saved, weights_only=False))
    with torch.inference_mode():
        for other in again:
            assert torch.equal(other(images), module(images))
            assert not {id(p) for p in other.parameters()} & {id(p) for p in module.parameters()}


def test_a_frozen_trunk_is_computed_once_and_its_file_is_not_needed(tmp_path):
    world = World(tmp_path)
    frozen = ["--freeze_trunk", "True", "--transforms~OVERRIDE~", "{train: {}, eval: {}}"]
    trunk = f"{{trunk~OVERRIDE~: {{{tiny.named('tiny_trunk')}: {{pretrained: True}}}}}}"
    assert world.run("t", *frozen, "--models", trunk, reproductions=1) == 0
    loaded = powerbench.load_model(world.root / "t", trial="reproduction:0")
    first, second = loaded.module.folds
    assert first.trunk is second.trunk
    assert measured(loaded) == pytest.approx(stored(world, "reproduction", "concatenated", "t"), abs=1e-9)
    calls = []
    first.trunk.register_forward_hook(lambda *_: calls.append(1))
    loaded.module(torch.zeros(1, 3, 8, 8))
    again = powerbench.load_model(world.root / "t").module.folds[0]
    again(torch.zeros(1, 3, 8, 8))
    assert len(calls) == 1, "each call loads a trunk of its own"
    record = world.root / "t" / "record.json"
    assert '"0123"' in record.read_text()
    record.write_text(record.read_text().replace('"0123"', '"4567"'))
    with pytest.raises(UserError, match=r"tiny, known weights \(SHA-256 4567\).* tiny, known weights \(SHA-256 0123\)"):
        powerbench.load_model(world.root / "t")


def test_an_old_folder_that_was_evaluated_is_found_by_its_own_name(sent, tmp_path):
    old = write_configs(tmp_path / "old")
    save_models(old, "Test50_50_Partitions4_0", {"trunk": {}}, "best2")
    with pytest.raises(UserError, match=r"no record\.json"):
        powerbench.load_model(old)
    shutil.copytree(sent, old / "powerbench")
    images = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        found, expected = (powerbench.load_model(folder).module(images) for folder in (old, sent))
    assert torch.equal(found, expected)
    powerbench.load_model(old / "powerbench")


def test_the_readme_example_runs_as_it_stands(trained, monkeypatch, capsys):
    text = README.read_text()
    (example,) = re.findall(r"```python\n(.*?load_model.*?)```", text, re.DOTALL)
    assert len(example.splitlines()) <= 10
    monkeypatch.chdir(trained.folder)
    for place, name in enumerate(re.findall(r'"(\w+\.jpg)"', example)):
        tiny.TinyImages().image(place).save(name, "PNG")
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(": 1.000"), "an image is most like itself"
    assert len(lines) == 3


def test_saved_weights_load_strictly_without_any_of_our_code(tmp_path):
    import pretrainedmodels

    world = World(tmp_path)
    data = f"{{{tiny.named('TinyImages')}: {{classes: 4, per_class: 2}}}}"
    resize = "{train: {Resize: {size: [32, 32]}}, eval: {Resize: {size: [32, 32]}}}"
    models = "{trunk: {bninception: {pretrained: null}}, embedder: {MLP: {layer_sizes: [6, 3]}}}"
    short = ["--num_epochs_train", "2", "--trainer", "{MetricLossOnly: {iterations_per_epoch: 1, batch_size: 4}}"]
    settings = ["--sampler~OVERRIDE~", "{MPerClassSampler: {m: 2}}", *short, "--save_interval", "1"]
    changed = ["--dataset~OVERRIDE~", data, "--transforms~OVERRIDE~", resize, "--models~OVERRIDE~", models]
    split = "{ClassDisjointSplitManager: {num_training_sets: 1}}"
    assert world.run("bn", *changed, *settings, "--split_manager", split, "--check_untrained_accuracy", "False") == 0
    (trunk_file,) = (world.root / "bn").rglob("trunk_best.pth")
    network = pretrainedmodels.bninception(pretrained=None)
    network.last_linear = nn.Identity()
    network.load_state_dict(torch.load(trunk_file, weights_only=True), strict=True)
    embedder = nn.ModuleDict({"net": nn.Sequential(nn.ReLU(), nn.Linear(1024, 6), nn.Linear(6, 3))})
    embedder.load_state_dict(torch.load(trunk_file.parent / "embedder_best.pth", weights_only=True), strict=True)
    images = torch.randn(1, 3, 224, 224) * 50
    with torch.inference_mode():
        expected = nn.functional.normalize(embedder["net"](network.eval()(images)))
        found = powerbench.load_model(world.root / "bn", fold=0).module(images)
    torch.testing.assert_close(found, expected)


def test_the_transform_takes_files_bytes_and_transparent_images(sent, tmp_path):
    _, transform = powerbench.load_model(sent)
    picture = Image.new("RGBA", (8, 8), (200, 10, 10, 0))
    picture.save(tmp_path / "clear.png")
    white = transform(Image.new("RGB", (8, 8), "white"))
    assert white.shape == (3, 8, 8)
    assert white.dtype == torch.float32
    for given in (picture, tmp_path / "clear.png", str(tmp_path / "clear.png"), (tmp_path / "clear.png").read_bytes()):
        assert torch.equal(transform(given), white)
    assert decode_image(tmp_path / "clear.png", "clear").getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(UserError, match=r"nothing\.png cannot be read"):
        transform(tmp_path / "nothing.png")


def test_what_cannot_be_loaded_is_said(sent, tmp_path):
    cases = [
        (sent.parent, {}, "no record.json"),
        (sent, {"fold": 2}, "no fold 2; there are 0, 1"),
        (sent, {"fold": 0, "ensemble": True}, "leave out fold, or ensemble"),
        (sent, {"ensemble": False}, "which fold"),
        (sent, {"trial": "reproduction:1"}, "Did you mean reproduction:0"),
        (sent, {"trial": 3}, "has no finished trial 3; there are .*reproduction:0"),
    ]
    for folder, arguments, message in cases:
        with pytest.raises(UserError, match=message):
            powerbench.load_model(folder, **arguments)
    copied = shutil.copytree(sent, tmp_path / "copy")
    (weights,) = copied.glob("reproduction_0/*_0/embedder_best.pth")
    weights.unlink()
    with pytest.raises(UserError, match=r"no file .*embedder_best\.pth.*--same_seed --keep_weights all"):
        powerbench.load_model(copied, trial="reproduction:0")
    code = next((copied / "configs" / "user_code").iterdir())
    code.write_text(code.read_text() + "\nprint('changed')\n")
    with pytest.raises(UserError, match="its content was changed"):
        powerbench.load_model(copied)
