"""Indices of small datasets, and labels to draw."""

import numpy as np
from hypothesis import strategies as st

from split_managers import DatasetIndex

LABELS = st.lists(st.integers(0, 6), min_size=12, max_size=60)


def index_of(labels, roles=None, above=None):
    columns = [np.asarray(labels)] + ([np.asarray(above)] if above is not None else [])
    names = tuple(tuple(f"{level}:{k}" for k in range(int(column.max()) + 1)) for level, column in enumerate(columns))
    items = tuple(f"item {n}" for n in range(len(labels)))
    return DatasetIndex(np.stack(columns, axis=1), names, items, roles=roles)


ROLES = ("train",) * 8 + ("query",) * 3 + ("gallery",) * 4 + (None,)
SHOP = index_of([0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 4, 4, 5, 6, 6], roles=ROLES)
