"""Jobs of the tiny world for each method of powerful-benchmarker."""

from __future__ import annotations

from tests.training.tiny import CONFIG, tiny_job, trainer

ADAM = {"Adam": {"lr": 0.01}}
MODELS = CONFIG["models"]
OPTIMIZERS = {"trunk_optimizer": {"Adam": {"lr": 0.003}}, "embedder_optimizer": ADAM}
TRIPLET = {"TripletMarginLoss": {"margin": 0.1}}
DAML_WEIGHTS = {"synth_loss": 0.5, "g_adv_loss": 0.5, "g_hard_loss": 0.1, "g_reg_loss": 0.1}


def classified(**changes):
    """Whole, with two hidden layers' worth of classifier."""
    return {
        "trainer": trainer("TrainWithClassifier", loss_weights={"classifier_loss": 0.5}),
        "models": {**MODELS, "classifier": {"MLP": {"layer_sizes": [7]}}},
        "loss_funcs": {"metric_loss": TRIPLET, "classifier_loss": {"CrossEntropyLoss": {"label_smoothing": 0.1}}},
        "optimizers": {**OPTIMIZERS, "classifier_optimizer": ADAM},
        **changes,
    }


def cascaded(**changes):
    """Three levels on two layers of the tiny trunk, hard pairs passed on, one classifier."""
    return {
        "trainer": trainer("CascadedEmbeddings"),
        "models": {**MODELS, "classifier_1": {"MLP": {"layer_sizes": []}}},
        "layers_to_extract": ["1", "2", "5"],
        "loss_funcs": {
            "metric_loss_0": {"ContrastiveLoss": {}},
            "metric_loss_1": {"ContrastiveLoss": {"neg_margin": 0.8}},
            "classifier_loss_1": "CrossEntropyLoss",
            "metric_loss_2": TRIPLET,
        },
        "mining_funcs": {f"tuple_miner_{level}": {"HDCMiner": {"filter_percentage": 0.6}} for level in (0, 1)},
        "optimizers": {**OPTIMIZERS, "classifier_1_optimizer": ADAM},
        **changes,
    }


def adversarial(settings=None, **changes):
    """The generator alone in the second epoch, the metric alone in the first."""
    own = {"metric_alone_epochs": 1, "g_alone_epochs": 1, "g_triplets_per_anchor": 5, **(settings or {})}
    return {
        "trainer": trainer("DeepAdversarialMetricLearning", loss_weights=DAML_WEIGHTS, **own),
        "models": {**MODELS, "generator": {"MLP": {"layer_sizes": [3, 2, 1]}}},
        "loss_funcs": {"metric_loss": {"ContrastiveLoss": {}}, "synth_loss": TRIPLET, "g_adv_loss": TRIPLET},
        "optimizers": {**OPTIMIZERS, "generator_optimizer": ADAM},
        **changes,
    }


def unsupervised(**changes):
    """Three views, one of them always the same; a loss with one proxy an image."""
    return {
        "trainer": trainer("UnsupervisedEmbeddingsUsingAugmentations"),
        "transforms": {
            "train": {},
            "eval": {},
            "augmentation1": {"RandomHorizontalFlip": {"p": 0.5}, "ColorJitter": {"brightness": 0.3}},
            "augmentation2": {},
            "augmentation3": {"RandomCrop": {"size": 6}},
        },
        "loss_funcs": {"metric_loss": {"NTXentLoss": {"temperature": 0.2}}, "proxies": {"ProxyNCALoss": {}}},
        "optimizers": {**OPTIMIZERS, "proxies_optimizer": ADAM},
        **changes,
    }


METHODS = {
    "classified": classified,
    "cascaded": cascaded,
    "adversarial": adversarial,
    "jointly adversarial": lambda **changes: adversarial({"variant": "powerful_benchmarker"}, **changes),
    "unsupervised": unsupervised,
}


def job_of(name, folder, **changes):
    """A job of the method ``name``."""
    return tiny_job(folder, **METHODS[name](**changes))
