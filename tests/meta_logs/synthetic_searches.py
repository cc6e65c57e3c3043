"""Searches as a report reads them, made without a store."""

import math
from types import SimpleNamespace

import numpy as np

from meta_logs.optimization.search import search_of
from meta_logs.results import ExperimentResults
from powerbench.store.rows import ExperimentRow, TrialRow

PREFIX = "loss_funcs/metric_loss/Loss/"


def results_with(space, points, means, *, sems=None, failed=(), folds=4, name="exp", trials=None, protocol=None):
    """``space``: {name: (operator, bounds or values)}; ``points``: a dict a trial; ``means`` as fractions."""
    searched = {f"{key}~{operator}~": value for key, (operator, value) in space.items()}
    config = {"config_loss_and_miners": {"loss_funcs": {"metric_loss": {"Loss": searched}}}}
    budget = {"trials": trials or len(points), "reproductions": []}
    protocol = protocol or {"primary_metric": "map_at_r"}
    folder = f"/experiments/{name}"
    row = ExperimentRow(1, name, config, "c", protocol, "f00d", 0, budget, folder, "2026-01-01T00:00:00")
    rows, runs = [], {}
    for number, (point, mean) in enumerate(zip(points, means, strict=True)):
        bad = number in failed
        parameters = {PREFIX + key: value for key, value in point.items()}
        sem = None if bad or sems is None else float(sems[number])
        error = ("nan", "the <b>loss</b> is NaN") if bad else (None, None)
        state, value = ("failed", None) if bad else ("done", float(mean))
        rows.append(TrialRow(number, 1, "search", number, parameters, state, *error, value, sem, {}, "", ""))
        runs[number] = tuple(SimpleNamespace(fold=fold, best_epoch=2) for fold in range(folds))
    return ExperimentResults(row, tuple(rows), runs, {}, (), (), {})


def search_with(*args, **settings):
    return search_of(results_with(*args, **settings))


def hill(count=25, seed=0, **settings):
    """Two log parameters and a linear one, of which ``alpha`` matters most and ``base`` nearly nothing."""
    generator = np.random.default_rng(seed)
    points = [
        {"alpha": 10 ** (4 * a - 2), "beta": 10 ** (4 * b - 2), "base": c}
        for a, b, c in generator.random((count, 3)).tolist()
    ]
    means = [
        0.45
        - 0.03 * (math.log10(p["alpha"]) - 0.5) ** 2
        - 0.008 * (math.log10(p["beta"]) - 1) ** 2
        - 0.01 * (p["base"] - 0.5) ** 2
        for p in points
    ]
    space = {
        "alpha": ("LOG_BAYESIAN", [0.01, 100]),
        "beta": ("LOG_BAYESIAN", [0.01, 100]),
        "base": ("BAYESIAN", [0, 1]),
    }
    return results_with(space, points, means, sems=generator.uniform(0.005, 0.02, count), **settings)


def mixed(count=30, **settings):
    """Five parameters of every kind."""
    generator = np.random.default_rng(1)
    names = ["none", "hard <i>negatives</i> only", "semi-hard"]
    points = [
        {
            "la": float(generator.uniform(0.01, 100)),
            "bins": int(generator.integers(2, 251)),
            "lr": float(10 ** generator.uniform(-6, 0)),
            "miner": names[generator.integers(3)],
            "on": bool(generator.integers(2)),
        }
        for _ in range(count)
    ]
    means = [0.3 + 0.05 * (p["miner"] == "semi-hard") - 0.01 * (math.log10(p["lr"]) + 3) ** 2 for p in points]
    space = {
        "la": ("BAYESIAN", [0.01, 100]),
        "bins": ("INT_BAYESIAN", [2, 250]),
        "lr": ("LOG_BAYESIAN", [1e-6, 1]),
        "miner": ("CHOICE_BAYESIAN", names),
        "on": ("CHOICE_BAYESIAN", [True, False]),
    }
    return results_with(space, points, means, **settings)


def line(count, **settings):
    """One linear parameter, best at its lower bound."""
    points = [{"margin": -0.2 + 2.2 * ((7 * i) % count) / max(count, 2)} for i in range(count)]
    return results_with(
        {"margin": ("BAYESIAN", [-0.2, 2])}, points, [0.4 - 0.05 * p["margin"] for p in points], **settings
    )
