"""Small datasets and progressions of them, of ours and as published."""

import numpy as np

from split_managers import DatasetIndex
from split_managers.making_progressions import ProgressionRecipe, make_progression


def dataset(classes=24, each=6, folder=""):
    labels = np.repeat(np.arange(classes), each)
    items = tuple(f"{folder}class {label:02d}/{n:05d}.jpg" for label in range(classes) for n in range(each))
    return DatasetIndex(labels[:, None], (tuple(f"class {k:02d}" for k in range(classes)),), items)


def made(seed=0, **recipe):
    index = dataset()
    labels = index.labels[:, 0]
    features = np.random.default_rng(3).normal(size=(24, 5))[labels] + 0.1 * np.random.default_rng(4).normal(
        size=(144, 5)
    )
    items = np.arange(144)
    chosen = ProgressionRecipe(n_swaps=6, history=3, seed=seed, **{"splits": 5, "episodes": 3, **recipe})
    return index, *make_progression(index, features, items[:72], items[72:], chosen)


def published(index, fid=8.5, shots=2):
    """A progression as ooDML's script writes it: NumPy's texts and numbers, protocol 3."""
    names = [np.str_(name) for name in index.class_names[0]]
    half = len(names) // 2
    episodes = {
        shots: {e: {name: [f"{n:05d}.jpg" for n in range(e, e + shots)] for name in names[half:]} for e in range(3)}
    }
    split = {
        "train": names[:half],
        "test": names[half:],
        "fid": np.float64(fid),
        "split_train": names[: 3 * half // 4],
        "split_val": names[3 * half // 4 : half],
        "test_episodes": episodes,
    }
    return {1: split, 2: {**split, "fid": np.float64(fid + 10)}}
