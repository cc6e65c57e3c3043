"""Synthetic embeddings with the class sizes of the usual test sets: normal clouds around normal centres, length 1."""

from __future__ import annotations

import numpy as np

DECAY = 12
"""How fast the axes' lengths fall: the k-th of D is 1 + DECAY k / D times shorter than the first. The first half of 128
axes then holds 93 % of the variance; of the heads trained in the demo it held 93 to 98 %."""


def embeddings(
    counts: np.ndarray, width: int, spread: float, seed: int = 0, decay: float = DECAY
) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled float32 rows and their labels; the smaller ``spread``, the easier. decay 0: no axis is longer."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    x = rng.normal(size=(len(counts), width)).astype(np.float32)[labels]
    x += np.float32(spread) * rng.standard_normal(size=x.shape, dtype=np.float32)
    x /= (1 + decay * np.arange(width) / width).astype(np.float32)
    turn = np.linalg.qr(rng.standard_normal(size=(width, width)))[0].astype(np.float32)
    x = x @ turn
    return x / np.linalg.norm(x, axis=1, keepdims=True), labels


def sop_like(items: int = 60_502, classes: int = 11_316) -> np.ndarray:
    """Classes of 2 to 12 items, as many as in the test split of Stanford Online Products."""
    rng = np.random.default_rng(0)
    counts = rng.integers(2, 13, classes)
    while counts.sum() != items:
        some, step = rng.integers(classes), int(np.sign(items - counts.sum()))
        if 2 <= counts[some] + step <= 12:
            counts[some] += step
    return counts


def even(items: int, classes: int) -> np.ndarray:
    """Classes whose sizes differ by one at most."""
    return np.full(classes, items // classes) + (np.arange(classes) < items % classes)


def sizes_like(counts: np.ndarray, items: int) -> np.ndarray:
    """As many classes, drawn from ``counts``, as make about this many items."""
    rng = np.random.default_rng(1)
    drawn = rng.choice(counts, size=max(2, round(items / counts.mean())))
    return drawn


CLASSES = {"CUB": lambda: even(5_924, 100), "Cars": lambda: even(8_131, 98), "SOP": sop_like}
