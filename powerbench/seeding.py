"""Seeds as hashes of named axes, and a place for libraries that draw from global generators.

The same axes give the same seed on every machine and in every process, so results
do not depend on which executor ran a job or on how often it was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def seed_of(**axes: int | str) -> int:
    """A seed in [0, 2**63) that depends on the names and values of ``axes``, not on their order."""
    digest = hashlib.sha256(json.dumps(axes, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_generator(**axes: int | str) -> np.random.Generator:
    """A NumPy generator seeded by named axes."""
    return np.random.default_rng(seed_of(**axes))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block with Python's, NumPy's and torch's global generators seeded; restore them after.

    Only for libraries that offer no generator argument (torch's initialisers, torchvision,
    pytorch-metric-learning). torch is seeded only if it was imported already.
    """
    torch = sys.modules.get("torch")
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch_state = torch.get_rng_state() if torch else None
    cuda_states = torch.cuda.get_rng_state_all() if torch and torch.cuda.is_initialized() else None
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch:
            torch.set_rng_state(torch_state)
            if cuda_states is not None:
                torch.cuda.set_rng_state_all(cuda_states)
