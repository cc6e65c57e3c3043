"""The published searches of "A Metric Learning Reality Check", copied by hand from their final plots.

Scales and bounds of every searched parameter, the best setting found (four digits), and the fixed protocol.
"""

LIN, LOG, INT = "BAYESIAN", "LOG_BAYESIAN", "INT_BAYESIAN"
SETTINGS = ("cub200", "cars196", "sop", "cub200_batch256")

CLASSES = {
    "contrastive": "ContrastiveLoss",
    "triplet": "TripletMarginLoss",
    "ntxent": "NTXentLoss",
    "proxy_nca": "ProxyNCALoss",
    "margin": "MarginLoss",
    "margin_class": "MarginLoss",
    "normalized_softmax": "NormalizedSoftmaxLoss",
    "cosface": "CosFaceLoss",
    "arcface": "ArcFaceLoss",
    "fastap": "FastAPLoss",
    "snr_contrastive": "SignalToNoiseRatioContrastiveLoss",
    "multi_similarity": "MultiSimilarityLoss",
    "multi_similarity_with_miner": "MultiSimilarityLoss",
    "soft_triple": "SoftTripleLoss",
}

WITHOUT_SEARCH = {
    "margin": {"learn_beta": True, "num_classes": None},
    "margin_class": {"learn_beta": True},
    "soft_triple": {"centers_per_class": 10},
}
"""Arguments that were not searched."""

CLASSIFICATION = ("proxy_nca", "normalized_softmax", "cosface", "arcface", "soft_triple")
"""One item a class in a batch; all others four."""

OWN_WEIGHTS = (*CLASSIFICATION, "margin", "margin_class")
NO_WEIGHT_DECAY = ("margin", "margin_class")

LEARNING_RATE = (LOG, 1e-6, 1)

BOUNDS = {
    "contrastive": {"pos_margin": (LIN, -0.2, 2), "neg_margin": (LIN, -0.2, 2)},
    "triplet": {"margin": (LIN, -0.2, 2)},
    "ntxent": {"temperature": (LOG, 0.01, 100)},
    "proxy_nca": {"softmax_scale": (LIN, 0.01, 100)},
    "margin": {"margin": (LIN, -0.2, 2), "beta": (LIN, -0.2, 2)},
    "margin_class": {"margin": (LIN, -0.2, 2), "beta": (LIN, -0.2, 2)},
    "normalized_softmax": {"temperature": (LOG, 0.01, 100)},
    "cosface": {"margin": (LIN, 0, 1), "scale": (LIN, 0.01, 200)},
    "arcface": {"margin": (LIN, 0, 90), "scale": (LIN, 0.01, 200)},
    "fastap": {"num_bins": (INT, 2, 32)},
    "snr_contrastive": {"pos_margin": (LIN, 0, 2), "neg_margin": (LIN, 0, 2), "regularizer_weight": (LIN, 0, 1)},
    "multi_similarity": {"alpha": (LIN, 0.01, 100), "beta": (LIN, 0.01, 100), "base": (LIN, 0, 1)},
    "multi_similarity_with_miner": {
        "alpha": (LIN, 0.01, 100),
        "beta": (LIN, 0.01, 100),
        "base": (LIN, 0, 1),
        "epsilon": (LIN, 0, 1),
    },
    "soft_triple": {
        "la": (LIN, 0.01, 100),
        "gamma": (LIN, 0.01, 100),
        "reg_weight": (LIN, 0, 1),
        "margin": (LIN, 0, 1),
    },
}

EXCEPTIONS = {
    ("ntxent", "cub200"): {"temperature": (LOG, 1e-4, 100)},
    ("ntxent", "cars196"): {"temperature": (LOG, 1e-5, 100)},
    ("ntxent", "sop"): {"temperature": (LOG, 1e-5, 100)},
    ("cosface", "cub200_batch256"): {"scale": (LIN, 0.01, 100)},
    ("arcface", "sop"): {"scale": (LIN, 0.01, 300)},
    ("arcface", "cub200_batch256"): {"scale": (LIN, 0.01, 100)},
    ("fastap", "cub200_batch256"): {"num_bins": (INT, 2, 250)},
    ("multi_similarity", "cub200"): {"alpha": (LIN, 0.001, 100)},
    ("multi_similarity_with_miner", "sop"): {"beta": (LIN, 0.01, 200)},
    ("multi_similarity_with_miner", "cub200_batch256"): {"alpha": (LIN, 1e-5, 100)},
    ("soft_triple", "cub200"): {"gamma": (LIN, 1e-4, 100)},
    ("soft_triple", "sop"): {"la": (LIN, 0.01, 200), "reg_weight": 0},
    ("soft_triple", "cub200_batch256"): {"gamma": (LIN, 1e-5, 100)},
}
"""What a setting's search had of its own; a plain number is a value that was not searched."""

OPTIMA = {
    "contrastive": [(-0.2, 0.3841), (0.2652, 0.5409), (0.285, 0.513), (0.2227, 0.7695)],
    "triplet": [(0.0961,), (0.119,), (0.04519,), (0.1368,)],
    "ntxent": [(0.009103,), (0.02193,), (0.0002401,), (0.04153,)],
    "proxy_nca": [(13.98, 0.006042), (7.971, 0.004434), (10.73, 0.0005289), (10.03, 0.2162)],
    "margin": [
        (0.08781, 0.7839, 0.001315),
        (0.07817, 1.316, 0.0001111),
        (0.09158, 1.107, 0.001828),
        (0.06749, 0.9762, 1e-6),
    ],
    "margin_class": [
        (0.07791, 0.9797, 0.0002656),
        (0.07761, 0.9599, 4.768e-5),
        (0.05186, 0.8425, 7.108e-5),
        (-0.02049, 0.1098, 0.01328),
    ],
    "normalized_softmax": [(0.1087, 0.004469), (0.08863, 0.01105), (0.06306, 0.0005468), (0.07077, 0.07203)],
    "cosface": [
        (0.6182, 100, 0.002535),
        (0.4324, 161.6, 0.007413),
        (0.3364, 100, 0.002161),
        (0.4145, 88.23, 0.003998),
    ],
    "arcface": [
        (23.23, 100, 0.005138),
        (20.52, 49.5, 7.399e-6),
        (18.63, 220.4, 0.002019),
        (23.15, 78.87, 0.03958),
    ],
    "fastap": [(17,), (27,), (16,), (86,)],
    "snr_contrastive": [(0.3265, 0.8446, 0.1383), (0.1671, 0.9338, 0), (0.3759, 1.083, 0), (0.1183, 0.6822, 0.4744)],
    "multi_similarity": [(0.01, 50.6, 0.5625), (14.36, 75.83, 0.6616), (8.492, 57.39, 0.4167), (0.01, 46.85, 0.8253)],
    "multi_similarity_with_miner": [
        (17.97, 75.66, 0.7763, 0.394),
        (7.498, 47.99, 0.6315, 0.7257),
        (15.95, 156.6, 0.725, 0.3483),
        (11.64, 55.2, 0.8581, 0.4231),
    ],
    "soft_triple": [
        (78.02, 58.95, 0.3755, 0.4308, 5.376e-5),
        (17.7, 19.19, 0.06698, 0.3588, 0.0001403),
        (100, 47.91, 0, 0.3145, 8.688e-5),
        (72.13, 51.08, 0.4431, 0.6959, 0.0001064),
    ],
}
"""Values in the order of BOUNDS, one tuple for each of SETTINGS; the learning rate of a loss's own weights comes last."""


def bounds_of(method: str, setting: str) -> dict:
    """Argument -> (operator, low, high), or a plain value."""
    return {**BOUNDS[method], **EXCEPTIONS.get((method, setting), {})}


def optimum_of(method: str, setting: str) -> tuple[dict, float | None]:
    """The arguments found best, and the learning rate of the loss's own weights."""
    values = OPTIMA[method][SETTINGS.index(setting)]
    rate = values[-1] if method in OWN_WEIGHTS else None
    return dict(zip(BOUNDS[method], values, strict=rate is None)), rate


RMSPROP = {"RMSprop": {"lr": 1e-6, "weight_decay": 1e-4, "momentum": 0.9}}

PROTOCOL = {
    "split_manager": {
        "MLRCSplitManager": {
            "test_size": 0.5,
            "test_start_idx": 0.5,
            "num_training_partitions": 4,
            "num_training_sets": 4,
            "hierarchy_level": 0,
            "data_and_label_getter_keys": ["data", "label"],
        }
    },
    "splits_to_eval": ["val"],
    "tester": {
        "GlobalEmbeddingSpaceTester": {
            "reference_set": "compared_to_self",
            "normalize_embeddings": True,
            "use_trunk_output": False,
            "batch_size": 32,
            "dataloader_num_workers": 2,
            "pca": None,
            "accuracy_calculator": {"AccuracyCalculator": None},
            "label_hierarchy_level": 0,
            "visualizer": {},
        }
    },
    "aggregator": {"MeanAggregator": {"split_to_aggregate": "val"}},
    "ensemble": {"ConcatenateEmbeddings": {"normalize_embeddings": True, "use_trunk_output": False}},
    "hook_container": {
        "HookContainer": {"primary_metric": "map_at_r", "validation_split_name": "val", "save_models": True}
    },
    "num_epochs_train": 1000,
    "check_untrained_accuracy": True,
    "skip_eval_if_already_done": True,
    "skip_ensemble_eval_if_already_done": True,
    "save_figures_on_tensorboard": False,
    "save_lists_in_db": False,
    "override_required_compatible_factories": False,
    "api_parser": None,
    "log_data_to_tensorboard": True,
    "models": {"trunk": {"bninception": {"pretrained": "imagenet"}}, "embedder": {"MLP": {"layer_sizes": [128]}}},
    "transforms": {
        "train": {
            "Resize": {"size": 256},
            "RandomResizedCrop": {"scale": "0.16 1", "ratio": "0.75 1.33", "size": 227},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        "eval": {"Resize": {"size": 256}, "CenterCrop": {"size": 227}},
    },
}
"""What all four settings share; ``map_at_r`` is this program's name of mean_average_precision_at_r."""

OF_SETTING = {
    "cub200": {"dataset": {"CUB200": None}, "save_interval": 2, "patience": 9},
    "cars196": {"dataset": {"Cars196": None}, "save_interval": 5, "patience": 14},
    "sop": {"dataset": {"StanfordOnlineProducts": None}, "save_interval": 20, "patience": 39},
    "cub200_batch256": {"dataset": {"CUB200": None}, "save_interval": 2, "patience": 9},
}


def trainer_of(setting: str) -> dict:
    """The trainer: 100 iterations an epoch, batches of 32 or 256, frozen statistics of batch norm."""
    return {
        "MetricLossOnly": {
            "iterations_per_epoch": 100,
            "dataloader_num_workers": 2,
            "batch_size": 256 if setting.endswith("_batch256") else 32,
            "freeze_trunk_batchnorm": True,
            "label_hierarchy_level": 0,
            "loss_weights": None,
            "set_min_label_to_zero": True,
        }
    }
