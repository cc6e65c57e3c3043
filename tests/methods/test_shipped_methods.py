"""The configs that powerful-benchmarker shipped for its methods train on the emoji, unchanged."""

import pytest

from powerbench.config.check import check
from powerbench.config.merged import load_config
from powerbench.config.typed import typed
from powerbench.jobs import Places, TrainJob
from powerbench.training import train_fold

pytestmark = pytest.mark.slow

BRIEF = {
    "num_epochs_train": 1,
    "check_untrained_accuracy": False,
    "trainer~APPLY~2": {"iterations_per_epoch": 2, "dataloader_num_workers": 0, "batch_size": 8},
    "tester~APPLY~2": {"dataloader_num_workers": 0},
    "device": "cpu",
}
SMALL = {"Resize": {"size": 96}, "CenterCrop": {"size": 96}}
DEMO = {f"config_{name}": ["demo"] for name in ("dataset", "models", "optimizers", "transforms")}
IN_ALL = ("general", "models", "loss_and_miners", "optimizers")


def on_the_demo(name, *categories):
    """The lists of the demo with those of a method after them."""
    lists = {**DEMO, "config_general": ["default", "demo"], "config_loss_and_miners": ["default"]}
    return {**lists, **{f"config_{category}": [*lists[f"config_{category}"], name] for category in categories}}


METHODS = {
    "with_daml": (on_the_demo("with_daml", *IN_ALL), {}),
    "with_classifier": (on_the_demo("with_classifier", *IN_ALL), {}),
    "with_classifier, which names none": (on_the_demo("with_classifier", "general"), {}),
    "with_cascaded": (on_the_demo("with_cascaded", "general", "loss_and_miners"), {}),
    "cascaded": (
        {
            "config_general": ["default", "with_cascaded"],
            "config_loss_and_miners": ["default", "with_cascaded"],
            "config_models": ["cascaded"],
            "config_dataset": ["demo"],
        },
        {
            "models": {"trunk": {"inception_v3": {"pretrained": None}}},  # its weights are not at hand
            "transforms~OVERRIDE~": {"train": SMALL, "eval": SMALL},
        },
    ),
    "unsupervised": (
        {**on_the_demo("with_unsupervised", "general"), "config_transforms": ["unsupervised"]},
        {
            "freeze_trunk": False,  # its augmentations are random
            "optimizers": {"trunk_optimizer": {"RMSprop": {"lr": 0.00001}}},
            "tester~APPLY~2": {"dataloader_num_workers": 0, "batch_size": 8},
        },
    ),
}


@pytest.fixture(scope="module", name="cache")
def _cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("name", METHODS)
def test_it_trains_from_yaml(cache, tmp_path, name):
    lists, changes = METHODS[name]
    merged = load_config(lists, {**BRIEF, **changes})
    config = typed(merged.flat(), merged)
    check(config, merged)
    places = Places(dataset_root=str(tmp_path), cache_dir=str(cache))
    result = train_fold(TrainJob(config.plain(), fold=0, seed=2, folder=str(tmp_path / "run"), places=places))
    assert result.failure is None
    assert result.iterations == 2
    assert {row.name for row in result.losses} >= {"total_loss"}
    assert 0 < result.best_value < 1
