"""Every shipped YAML loads, merges with the defaults, types and passes its checks."""

import pytest
import yaml

from powerbench.config.check import check
from powerbench.config.merged import load_config
from powerbench.config.search_keys import fill, first_values, search_keys
from powerbench.config.sources import config_names, packaged_folder
from powerbench.config.typed import typed
from tests.reference.naive_newer_losses import WITH_WEIGHTS
from tests.reference.reality_check_facts import CLASSIFICATION, NO_WEIGHT_DECAY, SETTINGS

ALL = [(category, name) for category, names in config_names().items() for name in names]

SEARCHED_RATE = "with_metric_loss_optimizer_bayes_opt"

COMPANIONS = {
    "with_daml": {
        "config_general": ["default", "with_daml"],
        "config_models": ["default", "with_daml"],
        "config_optimizers": ["default", "with_daml"],
        "config_loss_and_miners": ["default", "with_daml"],
    },
    "with_cascaded": {
        "config_general": ["default", "with_cascaded"],
        "config_loss_and_miners": ["default", "with_cascaded"],
        "config_optimizers": ["default", "with_metric_loss_optimizer"],
    },
    "with_classifier": {
        f"config_{category}": ["default", "with_classifier"]
        for category in ("general", "models", "loss_and_miners", "optimizers")
    },
    "with_unsupervised": {"config_transforms": ["default", "unsupervised"]},
    "unsupervised": {"config_general": ["default", "with_unsupervised"]},
    **{name: {"config_optimizers": ["default", SEARCHED_RATE]} for name in (*CLASSIFICATION, *WITH_WEIGHTS)},
    **{name: {"config_optimizers": ["default", f"{SEARCHED_RATE}_no_weight_decay"]} for name in NO_WEIGHT_DECAY},
    "demo": {"config_transforms": ["default", "demo"]},
}
"""Configs that are meant to be used with others."""

ENDINGS = tuple(f"_{setting}" for setting in SETTINGS)

DEMO = {f"config_{name}": ["demo"] for name in ("dataset", "models", "optimizers", "transforms")} | {
    "config_general": ["default", "demo"]
}


def listed(category, name):
    """The names that go with a config: those of another setting (arcface_sop) stand on top of their method's."""
    base = next((name.removesuffix(end) for end in ENDINGS if name.endswith(end)), None)
    if category == "config_loss_and_miners" and base is not None:
        return {**COMPANIONS.get(base, {}), category: ["default", base, name]}
    return {**COMPANIONS.get(name, {}), **({category: ["default", name]} if name != "default" else {})}


def opened(names):
    merged = load_config(names, {})
    return typed(fill(merged, first_values(merged)), merged), merged


@pytest.mark.parametrize(("category", "name"), ALL)
def test_each_config_works_on_top_of_the_defaults(category, name):
    config, merged = opened(listed(category, name))
    check(config, merged)


@pytest.mark.parametrize("name", ["with_cascaded", "with_classifier"])
def test_the_predecessors_general_configs_need_no_companion_that_it_had_not(name):
    """Its with_classifier named no classifier, and trained without one; that is said."""
    losses = {"config_loss_and_miners": ["default", name]} if name == "with_cascaded" else {}
    about = check(*opened({"config_general": ["default", name], **losses}))
    assert about.joined_embedders == (2 if name == "with_cascaded" else 1)
    assert any("there is no classifier" in remark for remark in about.remarks) == (name == "with_classifier")


@pytest.mark.parametrize(("category", "name"), ALL)
def test_each_config_says_what_it_is(category, name):
    text = (packaged_folder() / category / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    assert yaml.safe_load(text)


@pytest.mark.parametrize("general", [["demo"], ["default", "demo"]])
@pytest.mark.parametrize("others", [["demo"], ["default", "demo"]])
def test_the_demo_works_alone_and_on_top_of_the_defaults(general, others):
    config, merged = opened(dict.fromkeys(DEMO, others) | {"config_general": general})
    check(config, merged)
    assert config == opened(DEMO)[0]
    assert config.freeze_trunk
    assert config.dataset.name == "Emoji200"
    assert list(config.optimizers) == ["embedder_optimizer"]
    assert config.patience is None


def test_the_loss_optimizers_learning_rate_is_searched_as_published():
    merged = load_config({"config_optimizers": ["default", "with_metric_loss_optimizer_bayes_opt"]}, {})
    (key,) = search_keys(merged)
    assert (key.path, key.operator, key.value) == (
        "optimizers/metric_loss_optimizer/RMSprop/lr",
        "LOG_BAYESIAN",
        (1e-6, 1.0),
    )


@pytest.mark.parametrize(
    ("category", "name", "path", "value"),
    [
        ("config_general", "with_256_batch", "trainer/MetricLossOnly/batch_size", 256),
        ("config_general", "with_32_workers", "trainer/MetricLossOnly/dataloader_num_workers", 32),
        ("config_general", "with_cars196", "patience", 14),
        ("config_general", "with_sop", "save_interval", 20),
        ("config_general", "with_classifier", "trainer/TrainWithClassifier/batch_size", 32),
        ("config_general", "with_daml", "trainer/DeepAdversarialMetricLearning/loss_weights/synth_loss", 0.1),
        ("config_eval", "with_32_workers", "tester/GlobalEmbeddingSpaceTester/dataloader_num_workers", 32),
        ("config_optimizers", "with_higher_lr", "optimizers/trunk_optimizer/RMSprop/lr", 1e-5),
        ("config_optimizers", "with_daml", "optimizers/generator_optimizer/Adam/lr", 1e-6),
        ("config_models", "cascaded", "models/trunk/inception_v3/pretrained", True),
        ("config_models", "with_daml", "models/generator/MLP/layer_sizes", [3, 1, 1]),
        ("config_loss_and_miners", "with_classification_based_loss", "sampler/MPerClassSampler/m", 1),
        ("config_loss_and_miners", "with_cascaded", "loss_funcs/metric_loss_1/TripletMarginLoss/margin", 0.1),
        ("config_loss_and_miners", "with_daml", "loss_funcs/g_adv_loss/TripletMarginLoss/margin", 0.01),
        ("config_transforms", "unsupervised", "transforms/augmentation3/RandomResizedCrop/size", 227),
        ("config_dataset", "with_sop", "dataset/StanfordOnlineProducts", None),
    ],
)
def test_the_predecessors_configs_have_their_content(category, name, path, value):
    node = load_config({category: ["default", name]}, {}).flat()
    for key in path.split("/"):
        node = node[key]
    assert node == value
