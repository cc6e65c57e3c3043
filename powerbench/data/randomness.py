"""Global generators, seeded for each image: torchvision's transforms can draw from nowhere else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def generators_restored() -> Iterator[None]:
    """Run a block that reseeds the CPU's global generators; give them their state back afterwards."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.default_generator.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.default_generator.set_state(cpu)


def reseed(seed: int) -> None:
    """Seed Python's, NumPy's and torch's CPU generator (torch.manual_seed is 100 times slower: it cares for GPUs)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
