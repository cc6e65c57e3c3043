"""Experiments as a driver leaves them, with numbers from seeded formulas instead of training."""

import math

import numpy as np

from powerbench.jobs import ConcatenatedValue, EvaluateResult, LossValue, Measurement, SeparateValue, TrainResult
from powerbench.store.rows import best_trial

PATHS = ("alpha", "beta", "base")
PREFIX = "loss_funcs/metric_loss/MultiSimilarityLoss/"
PROTOCOL = {
    "dataset": {"CUB200": {}},
    "dataset_checksum": "3d2f",
    "trunk_weights": "sha256:5239814",
    "selection": "validation_best",
    "primary_metric": "map_at_r",
    "trials": 50,
}
ENVIRONMENT = {"torch": "2.14.1", "git": {"commit": "abc", "dirty": False}, "cpu": "<script>alert(1)</script>"}
CONFIG = {
    "config_loss_and_miners": {
        "loss_funcs": {
            "metric_loss~OVERRIDE~": {
                "MultiSimilarityLoss": {
                    "alpha~LOG_BAYESIAN~": [0.01, 100],
                    "beta~LOG_BAYESIAN~": [0.01, 100],
                    "base~BAYESIAN~": [0, 1],
                }
            }
        }
    }
}
METRICS = {"map_at_r": 0.0, "precision_at_1": 0.25, "r_precision": 0.1}
STATES = {"untrained_trunk": (-1, -0.2), "untrained_trunk_and_embedder": (0, -0.22), "trained": (7, 0.0)}


def objective(parameters):
    """A smooth hill in the logarithms of alpha and beta."""
    alpha, beta, base = parameters.values()
    return 0.45 - 0.03 * (math.log10(alpha) - 0.5) ** 2 - 0.02 * (math.log10(beta) - 1) ** 2 - 0.05 * (base - 0.5) ** 2


def make_experiment(
    store,
    name,
    *,
    trials=8,
    reproductions=5,
    folds=4,
    level=0.0,
    seed=0,
    protocol=None,
    fingerprint="f00d",
    noise=0.004,
    folder="/experiments",
    include_best=False,
    evaluate_best=True,
):
    generator = np.random.default_rng(seed)
    numbers = list(range(reproductions))
    experiment = store.create_experiment(
        name, CONFIG, "c", protocol or PROTOCOL, fingerprint, 0, {"trials": trials, "reproductions": numbers},
        f"{folder}/{name}",
    )  # fmt: skip
    for number in range(trials):
        point = generator.uniform(size=3)
        parameters = dict(
            zip(
                (PREFIX + p for p in PATHS), [10 ** (4 * point[0] - 2), 10 ** (4 * point[1] - 2), point[2]], strict=True
            )
        )
        trial = store.add_trial(experiment.id, "search", number, {k: float(v) for k, v in parameters.items()}, {})
        if number == 3:
            store.fail_trial(trial.id, "nan", "the loss is NaN in epoch 2 of fold 0")
            continue
        value = objective(parameters) + level
        train(store, trial, "search", number, folds, value, generator)
    best = best_trial(store.trials(experiment.id))
    if best and evaluate_best:
        evaluate(store, best, folds, best.mean + 0.02, noise, generator)
    for number in numbers:
        parameters = best.parameters if best else {}
        trial = store.add_trial(experiment.id, "reproduction", number, parameters)
        train(store, trial, "reproduction", number, folds, 0.4 + level, generator)
        evaluate(store, trial, folds, 0.4 + level, noise, np.random.default_rng((seed, number)))
    store.refresh_summaries(experiment.id, include_best=include_best)
    return store.experiment(name)


def train(store, trial, kind, number, folds, value, generator):
    values = value + generator.normal(scale=0.02, size=folds)
    for fold in range(folds):
        epochs = range(0, 21, 2)
        curve = [float(values[fold] - 0.15 * math.exp(-e / 4) + generator.normal(scale=0.003)) for e in epochs]
        best = int(np.argmax(curve))
        measured = [Measurement("val", -1, "untrained_trunk", "map_at_r", 0.2)]
        for epoch, found in zip(epochs, curve, strict=True):
            weights = "trained" if epoch else "untrained_trunk_and_embedder"
            measured.append(Measurement("val", epoch, weights, "map_at_r", found))
        losses = [
            LossValue(e, "metric_loss", 0.5 + math.exp(-e / 6) + generator.normal(scale=0.01)) for e in range(1, 21)
        ]
        name = f"Test50_50_Partitions4_{fold}"
        store.add_run(trial.id, fold, fold, f"{kind}_{number}/{name}")
        result = TrainResult(
            name, "split", 2 * best, curve[best], 20, 2000, 90.0, 80.0, tuple(measured), tuple(losses), ENVIRONMENT
        )
        store.finish_run(trial.id, fold, result)
    sem = float(values.std(ddof=1) / math.sqrt(folds)) if folds > 1 else None
    store.finish_trial(trial.id, float(values.mean()), sem)


def evaluate(store, trial, folds, value, noise, generator):
    shift = generator.normal(scale=noise)
    separate, concatenated = [], []
    for state, (epoch, below) in STATES.items():
        moved = shift if state == "trained" else 0.0
        for metric, above in METRICS.items():
            base = value + above + below + moved if state == "trained" else 0.4 + above + below
            separate += [SeparateValue(f, "test", epoch, state, metric, base + 0.003 * f) for f in range(folds)]
            concatenated.append(ConcatenatedValue("test", state, metric, base + 0.05))
    store.record_evaluation(trial.id, EvaluateResult(tuple(separate), tuple(concatenated), 1.0, ENVIRONMENT))
