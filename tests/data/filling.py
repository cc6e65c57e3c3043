"""A cache of decoded images filled with noise."""

import numpy as np

from powerbench.data.decoded_images import DecodedImages

MANY = 10**9


def store_in(folder, count=20, capacity=MANY, **more):
    return DecodedImages(folder / "a", {"of": "noise"}, count, capacity, **more)


def pixels_of(item, shape=(5, 7)):
    return np.random.default_rng(item).integers(0, 256, (*shape, 3), dtype=np.uint8)


def fill(store, items, shape=(5, 7)):
    """Ask for ``items``; which of them had to be made."""
    made = []
    for item in items:

        def make(item=item):
            made.append(item)
            return pixels_of(item, shape)

        assert np.array_equal(store.image(item, make), pixels_of(item, shape))
    return made
