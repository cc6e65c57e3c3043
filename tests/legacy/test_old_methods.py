"""Folders of powerful-benchmarker that were trained with its other methods: configs and models."""

import pytest
import torch
from torch import nn

from powerbench.config.check import check
from powerbench.config.typed import typed
from powerbench.jobs import Places
from powerbench.legacy.checkpoints import load_old_weights
from powerbench.legacy.configs import load_old_config
from powerbench.methods.cascaded_embeddings import LevelEmbedders
from powerbench.models.building import build_bare_trunk
from powerbench.models.embedders.mlp import MLP
from tests.legacy.old_folders import OF_0_9_32, UP_TO_0_9_25, save_models, write_configs

TRAINER = OF_0_9_32["config_general"]["trainer"]["MetricLossOnly"]
MODELS, OPTIMIZERS = OF_0_9_32["config_models"]["models"], OF_0_9_32["config_optimizers"]["optimizers"]
TRIPLET = {"TripletMarginLoss": {"margin": 0.01}}
WEIGHTS = {"metric_loss": 1, "synth_loss": 0.1, "g_adv_loss": 0.1, "g_hard_loss": 0.1, "g_reg_loss": 0.1}
ADAM = {"Adam": {"lr": 0.00001, "weight_decay": 0.00005}}
GENERATED = {"generator_optimizer": ADAM, **OPTIMIZERS}
DAML_LOSSES = {"metric_loss": {"ContrastiveLoss": None}, "synth_loss": TRIPLET, "g_adv_loss": TRIPLET}
INCEPTION = {"trunk": {"inception_v3": {"pretrained": True}}, "embedder": {"MLP": {"layer_sizes": [16]}}}


def read(folder, configs=OF_0_9_32, **changed):
    """The typed and checked config of a folder, and the notes on it."""
    if "layers_to_extract" in changed:
        configs = {**configs, "config_models": {**configs["config_models"], "layers_to_extract": None}}
    merged = load_old_config(write_configs(folder, configs, **changed), {}, None)
    config = typed(merged.flat(), merged)
    check(config, merged)
    return config, merged.notes


def test_an_adversarial_one_is_the_published_variant(tmp_path):
    own = {"g_alone_epochs": 2, "metric_alone_epochs": 1, "g_triplets_per_anchor": 100, "loss_weights": WEIGHTS}
    config, notes = read(
        tmp_path,
        trainer={"DeepAdversarialMetricLearning": {**TRAINER, **own}},
        models={**MODELS, "generator": {"MLP": {"layer_sizes": [3, 1, 1]}}, "classifier": {"MLP": {"layer_sizes": []}}},
        loss_funcs=DAML_LOSSES,
        optimizers=GENERATED,
    )
    assert config.trainer.args["variant"] == "powerful_benchmarker"
    assert (config.trainer.args["g_alone_epochs"], dict(config.trainer.loss_weights)) == (2, WEIGHTS)
    assert any("is trained as powerful-benchmarker did" in note for note in notes)


def test_an_early_adversarial_one_has_todays_keys_and_a_generator(tmp_path):
    general = {**UP_TO_0_9_25["config_general"], "training_method": "DeepAdversarialMetricLearning"}
    general |= {"loss_weights": WEIGHTS, "g_alone_epochs": 3, "metric_alone_epochs": 0}
    config, notes = read(
        tmp_path, {**UP_TO_0_9_25, "config_general": general}, loss_funcs=DAML_LOSSES, optimizers=GENERATED
    )
    assert (config.trainer.name, config.trainer.args["g_alone_epochs"]) == ("DeepAdversarialMetricLearning", 3)
    assert config.trainer.args["variant"] == "powerful_benchmarker"
    assert config.models.__pydantic_extra__["generator"].args["layer_sizes"] == (3, 1, 1)
    assert any("had its generator in code" in note for note in notes)


def test_a_classifier_of_early_versions(tmp_path):
    general = {**UP_TO_0_9_25["config_general"], "training_method": "TrainWithClassifier"}
    general |= {"loss_weights": {"metric_loss": 0, "classifier_loss": 1}}
    config, _ = read(
        tmp_path,
        {**UP_TO_0_9_25, "config_general": general},
        models={**MODELS, "classifier": {"MLP": {"layer_sizes": []}}},
        loss_funcs={"metric_loss": {"ContrastiveLoss": {}}, "classifier_loss": {"CrossEntropyLoss": None}},
        optimizers={"classifier_optimizer": ADAM, **OPTIMIZERS},
    )
    assert (config.trainer.name, dict(config.trainer.loss_weights)) == (
        "TrainWithClassifier",
        {"metric_loss": 0, "classifier_loss": 1},
    )


def test_views_of_an_unsupervised_one(tmp_path):
    recipes = OF_0_9_32["config_transforms"]["transforms"]
    views = {f"augmentation{number}": recipes["train"] for number in (1, 2, 3)}
    config, _ = read(
        tmp_path,
        trainer={"UnsupervisedEmbeddingsUsingAugmentations": TRAINER},
        transforms={"train": {}, "eval": recipes["eval"], **views},
    )
    assert list(config.transforms.of_views()) == ["augmentation1", "augmentation2", "augmentation3"]


def cascaded(folder):
    return read(
        folder,
        trainer={"CascadedEmbeddings": TRAINER},
        models=INCEPTION,
        layers_to_extract=["Mixed_6e", "fc"],
        loss_funcs={"metric_loss_0": {"ContrastiveLoss": None}, "metric_loss_1": TRIPLET},
    )


def test_a_cascades_trunk_is_passed_through_as_it_was(tmp_path):
    config, notes = cascaded(tmp_path)
    assert dict(config.models.trunk.args) == {"pretrained": True, "transform_input": False, "dropout": 0.0}
    assert config.layers_to_extract == ("Mixed_6e", "fc")
    assert any("passed images through the children" in note for note in notes)


class Extracting(nn.Module):
    """A trunk whose children images are passed through in turn, with the pools that stand between them."""

    def __init__(self, convnet: nn.Module) -> None:
        super().__init__()
        self.convnet = convnet

    def forward(self, images):
        found = []
        for name, child in self.convnet.named_children():
            if name in ("AuxLogits", "avgpool", "dropout", "maxpool1", "maxpool2"):
                continue
            images = child(images)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                images = nn.functional.max_pool2d(images, 3, stride=2)
            if name in ("Mixed_6e", "fc"):
                found.append(images.mean(dim=(2, 3)))
        return found


@pytest.mark.slow
def test_a_cascades_models_give_their_embeddings_here(tmp_path):
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    network = inception_v3(weights=None, init_weights=False, aux_logits=True)
    network.fc = nn.Identity()
    theirs = Extracting(network).eval()
    embedders = [nn.ModuleDict({"net": nn.Sequential(nn.Linear(width, 16))}) for width in (768, 2048)]
    for embedder in embedders:
        embedder["last_linear"] = embedder["net"][-1]
    states = {
        "trunk": theirs.state_dict(),
        "embedder": {
            f"list_of_models.{level}.{name}": tensor
            for level, embedder in enumerate(embedders)
            for name, tensor in embedder.state_dict().items()
        },
    }
    save_models(tmp_path, "a_0", states, "best4")
    config, _ = cascaded(tmp_path / "configured")
    trunk = build_bare_trunk(config, Places(str(tmp_path), str(tmp_path))).eval()
    ours = LevelEmbedders([MLP(768, [16]), MLP(2048, [16])], ["Mixed_6e", "fc"])
    for name, module in (("trunk", trunk), ("embedder", ours)):
        load_old_weights(module, tmp_path / f"a_0/saved_models/{name}_best4.pth")
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        expected = [embedder["net"](rows) for embedder, rows in zip(embedders, theirs(images), strict=True)]
        found = ours(trunk(images, ("Mixed_6e", "fc")))
    for level, rows in zip(expected, found, strict=True):
        torch.testing.assert_close(rows, level, rtol=1e-4, atol=1e-5)
