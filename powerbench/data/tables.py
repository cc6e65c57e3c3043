"""Batches of bytes as the floats that a table has for them, in one compiled pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powerbench.compiling import compiled


@compiled()
def look_up(images: NDArray[np.uint8], table: NDArray[np.float32], made: NDArray[np.float32]) -> None:
    """Fill ``made`` with what ``table`` (3 x 256) has for each channel of ``images`` (both B x 3 x height x width)."""
    count, channels, height, width = images.shape
    for image in range(count):
        for row in range(height):
            for channel in range(channels):
                for column in range(width):
                    made[image, channel, row, column] = table[channel, images[image, channel, row, column]]
