"""Experiment folders in the exact format of powerful-benchmarker: 0.9.32's, and that of the versions up to 0.9.25."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path

import torch
import yaml

OF_0_9_32 = {
    "config_foldernames": {
        name: ["default"]
        for name in (
            *("config_dataset", "config_eval", "config_factories", "config_general", "config_loss_and_miners"),
            *("config_models", "config_optimizers", "config_transforms"),
        )
    },
    "config_dataset": {
        "dataset": {"CUB200": None},
        "splits_to_eval": ["val"],
        "split_manager": {
            "ClassDisjointSplitManager": {
                "test_size": 0.5,
                "test_start_idx": 0.5,
                "num_training_partitions": 4,
                "num_training_sets": 4,
                "hierarchy_level": 0,
                "data_and_label_getter_keys": ["data", "label"],
            }
        },
    },
    "config_eval": {
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
            }
        },
        "aggregator": {"MeanAggregator": None},
        "ensemble": {"ConcatenateEmbeddings": {"normalize_embeddings": True, "use_trunk_output": False}},
        "hook_container": {
            "HookContainer": {"primary_metric": "mean_average_precision_at_r", "validation_split_name": "val"}
        },
    },
    "config_factories": {
        "factories": {
            name: {f"{''.join(part.capitalize() for part in name.split('_'))}Factory": {}}
            for name in (
                *("model", "loss", "miner", "sampler", "optimizer", "tester", "trainer", "transform"),
                *("split_manager", "record_keeper", "hook", "aggregator", "ensemble"),
            )
        }
    },
    "config_general": {
        "trainer": {
            "MetricLossOnly": {
                "iterations_per_epoch": 100,
                "dataloader_num_workers": 2,
                "batch_size": 32,
                "freeze_trunk_batchnorm": True,
                "label_hierarchy_level": 0,
                "loss_weights": None,
                "set_min_label_to_zero": True,
            }
        },
        "num_epochs_train": 1000,
        "save_interval": 2,
        "patience": 9,
        "check_untrained_accuracy": True,
        "skip_eval_if_already_done": True,
        "skip_ensemble_eval_if_already_done": True,
        "save_figures_on_tensorboard": False,
        "save_lists_in_db": False,
        "override_required_compatible_factories": False,
    },
    "config_loss_and_miners": {
        "loss_funcs": {"metric_loss": {"ContrastiveLoss": {"pos_margin": -0.2, "neg_margin": 0.3841}}},
        "sampler": {"MPerClassSampler": {"m": 4}},
        "mining_funcs": {},
    },
    "config_models": {
        "models": {
            "trunk": {"bninception": {"pretrained": "imagenet"}},
            "embedder": {"MLP": {"layer_sizes": [128]}},
        }
    },
    "config_optimizers": {
        "optimizers": {
            f"{module}_optimizer": {"RMSprop": {"lr": 0.000001, "weight_decay": 0.0001, "momentum": 0.9}}
            for module in ("trunk", "embedder")
        }
    },
    "config_transforms": {
        "transforms": {
            "train": {
                "Resize": {"size": 256},
                "RandomResizedCrop": {"scale": "0.16 1", "ratio": "0.75 1.33", "size": 227},
                "RandomHorizontalFlip": {"p": 0.5},
            },
            "eval": {"Resize": {"size": 256}, "CenterCrop": {"size": 227}},
        }
    },
}
PUBLISHED = ("config_loss_and_miners", "config_models", "config_optimizers", "config_transforms")
"""What is left of a published folder: general, dataset and eval were removed from it."""

UP_TO_0_9_25 = {
    "config_general": {
        "training_method": "MetricLossOnly",
        "testing_method": "GlobalEmbeddingSpaceTester",
        "meta_testing_method": ["meta_SeparateEmbeddings", "meta_ConcatenateEmbeddings"],
        "dataset": {"CUB200": None},
        "splits_to_eval": ["val"],
        "num_epochs_train": 40,
        "iterations_per_epoch": 50,
        "save_interval": 4,
        "special_split_scheme_name": None,
        "test_size": 0.5,
        "test_start_idx": 0.5,
        "num_training_partitions": 3,
        "num_training_sets": 2,
        "label_hierarchy_level": 0,
        "dataloader_num_workers": 1,
        "check_untrained_accuracy": False,
        "skip_eval_if_already_done": True,
        "skip_meta_eval_if_already_done": False,
        "patience": 7,
    },
    "config_eval": {
        "eval_reference_set": "compared_to_self",
        "eval_normalize_embeddings": False,
        "eval_use_trunk_output": False,
        "eval_batch_size": 64,
        "eval_primary_metric": "precision_at_1",
        "eval_dataloader_num_workers": 3,
        "eval_pca": None,
        "eval_size_of_tsne": 0,
        "eval_accuracy_calculator": {"AccuracyCalculator": None},
    },
    "config_loss_and_miners": {
        "loss_funcs": {
            "metric_loss": {
                "ContrastiveLoss": {
                    "pos_margin": 0,
                    "neg_margin": 0.5,
                    "use_similarity": False,
                    "avg_non_zero_only": True,
                }
            }
        },
        "sampler": {"MPerClassSampler": {"m": 4}},
        "mining_funcs": {"post_gradient_miner": {"MultiSimilarityMiner": {"epsilon": 0.1}}},
    },
    "config_models": {**OF_0_9_32["config_models"], "batch_size": 64, "freeze_batchnorm": False},
    "config_optimizers": OF_0_9_32["config_optimizers"],
    "config_transforms": OF_0_9_32["config_transforms"],
}


def write_configs(folder: Path, configs: dict = OF_0_9_32, only: tuple[str, ...] | None = None, **changed) -> Path:
    """``folder/configs`` as PyYAML dumps it; ``changed`` are top-level keys, in whichever file they stand."""
    for name, content in configs.items():
        if only is None or name in only:
            write_yaml(folder / "configs" / f"{name}.yaml", {k: changed.get(k, v) for k, v in content.items()})
    return folder


def write_yaml(path: Path, content: dict) -> None:
    """As powerful-benchmarker writes YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.dump(content, default_flow_style=False, sort_keys=False))


def save_models(folder: Path, fold: str, models: dict[str, dict], suffix: str) -> None:
    """``<fold>/saved_models/<name>_<suffix>.pth`` for each state dict."""
    place = folder / fold / "saved_models"
    place.mkdir(parents=True, exist_ok=True)
    for name, state in models.items():
        torch.save(state, place / f"{name}_{suffix}.pth")


TABLE = "accuracies_normalized_compared_to_self_GlobalEmbeddingSpaceTester_level_0"


def write_tables(folder: Path, tables: dict[str, list[dict]], *, sqlite: bool = True, with_csv: bool = True) -> None:
    """``saved_csvs`` of ``folder``: a CSV and a table of logs.db for each; a changed row gives CSVs another header."""
    place = folder / "saved_csvs"
    place.mkdir(parents=True, exist_ok=True)
    if sqlite:
        database = sqlite3.connect(place / "logs.db")
        for name, rows in tables.items():
            database.execute(f"CREATE TABLE {name} (id integer primary key autoincrement)")
            for column in dict.fromkeys(key for row in rows for key in row):
                kind = "text" if any(isinstance(row.get(column), str) for row in rows) else "real"
                database.execute(f"ALTER TABLE {name} ADD COLUMN {column} {kind}")
            for row in rows:
                marks = ", ".join("?" for _ in row)
                database.execute(f"INSERT INTO {name} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
        database.commit()
        database.close()
    for name, rows in tables.items() if with_csv else ():
        with open(place / f"{name}.csv", "w", newline="") as file:
            writer, columns = csv.writer(file), None
            for row in rows:
                if list(row) != columns:
                    columns = list(row)
                    writer.writerow(columns)
                writer.writerow(row.values())
