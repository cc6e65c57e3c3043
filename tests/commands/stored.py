"""A root folder with finished experiments in its store, made of formulas instead of training."""

from __future__ import annotations

from pathlib import Path

from powerbench.store.store import Store
from tests.meta_logs.synthetic_experiments import make_experiment

METHODS = {"contrastive": 0.0, "triplet": -0.001, "proxy_nca": -0.08}


def make_root(root: Path, methods: dict[str, float] | None = None, **options) -> Path:
    """A root with one experiment a method, each with its folder and record."""
    options = {"trials": 4, "folds": 2, "reproductions": 6, **options}
    with Store.open(root / "results.sqlite") as store:
        for number, (name, level) in enumerate((methods or METHODS).items()):
            make_experiment(store, name, level=level, seed=number, folder=str(root), **options)
            store.write_record(name, root / name)
    return root


def store_of(root: Path) -> Store:
    """The root's store."""
    return Store.open(root / "results.sqlite")
