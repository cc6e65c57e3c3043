"""Crops, flips and resizing of images as sums of pixels with whole weights: the same bytes on a CPU and on a GPU.

The weights are those of torch's own resizing of bytes (bilinear, antialiased, as PIL's): whole numbers over a power of
two. What is left to a device is whole-number arithmetic, which has one result anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_MOST_BITS, _LARGEST = 22, 2**15
"""torch's: the bits of a weight's fraction are as many as keep all weights of a line below the largest."""


@dataclass(frozen=True, eq=False)
class Taps:
    """What each of n places in a line is made of: pixels from ``first`` on (n), with ``weights`` (n x most pixels),
    their sum rounded and shifted right by ``shift``."""

    first: np.ndarray
    weights: np.ndarray
    shift: int = 0

    def __len__(self) -> int:
        return len(self.first)

    def cut(self, start: int, length: int) -> Taps:
        """The places from ``start`` on."""
        end = start + length
        return replace(self, first=self.first[start:end], weights=self.weights[start:end])

    def reversed(self) -> Taps:
        """The places in the opposite order."""
        return replace(self, first=self.first[::-1], weights=self.weights[::-1])

    def after(self, pixels: int) -> Taps:
        """The same places of a line that begins so many pixels later."""
        return replace(self, first=self.first + pixels)


@lru_cache(maxsize=2048)
def whole(length: int) -> Taps:
    """A line as it is."""
    return Taps(np.arange(length), np.ones((length, 1), dtype=np.int32))


@lru_cache(maxsize=2048)
def resized(length: int, size: int) -> Taps:
    """A line of ``length`` pixels brought to ``size``, with the weights that torch computes, in its order."""
    if length == size:
        return whole(length)
    scale = length / size
    support, closeness = max(scale, 1.0), 1 / max(scale, 1.0)
    centres = scale * (np.arange(size) + 0.5)
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    most = 2 * math.ceil(support) + 1
    counts = np.clip(np.minimum((centres + support + 0.5).astype(np.int64), length) - first, 0, most)
    pixels = first[:, None] + np.arange(most)
    shares = np.maximum(1 - np.abs((pixels - centres[:, None] + 0.5) * closeness), 0)
    shares[np.arange(most) >= counts[:, None]] = 0
    shares /= np.cumsum(shares, axis=1)[:, -1:]  # summed one after the other
    bits = 0
    while bits < _MOST_BITS and int(0.5 + shares.max() * 2 ** (bits + 1)) < _LARGEST:
        bits += 1
    return Taps(first, (shares * 2**bits + 0.5).astype(np.int32), bits)


class Undeveloped(NamedTuple):
    """A batch of images before their crops, flips and resizing: bytes (B x height x width x 3, smaller ones padded).

    For the rows and the columns of the results: first pixels (B x n), weights (B x n x k) and shifts (B).
    """

    pixels: Tensor
    row_first: Tensor
    row_weights: Tensor
    row_shift: Tensor
    column_first: Tensor
    column_weights: Tensor
    column_shift: Tensor


def gathered(images: Sequence[tuple[np.ndarray, Taps, Taps]]) -> Undeveloped:
    """Images (height x width x 3) with the taps of rows and columns, as a batch. Only pixels that count are copied."""
    boxes = [(_span(rows), _span(columns)) for _, rows, columns in images]
    height, width = (max(high - low for low, high in spans) for spans in zip(*boxes, strict=True))
    pixels = np.zeros((len(images), height, width, 3), dtype=np.uint8)
    for place, ((image, _, _), ((top, bottom), (left, right))) in enumerate(zip(images, boxes, strict=True)):
        cut = image[top:bottom, left:right]
        pixels[place, : cut.shape[0], : cut.shape[1]] = cut
    rows = [rows.after(-top) for (_, rows, _), ((top, _), _) in zip(images, boxes, strict=True)]
    columns = [columns.after(-left) for (_, _, columns), (_, (left, _)) in zip(images, boxes, strict=True)]
    return Undeveloped(torch.from_numpy(pixels), *_together(rows), *_together(columns))


def developed(batch: Undeveloped) -> Tensor:
    """The images (B x 3 x height x width, bytes) as their taps say, computed where the batch lies."""
    pixels = batch.pixels.permute(0, 3, 1, 2)
    by_column = _summed(pixels, batch.column_first, batch.column_weights, batch.column_shift, dim=3)
    return _summed(by_column, batch.row_first, batch.row_weights, batch.row_shift, dim=2)


def _span(taps: Taps) -> tuple[int, int]:
    """The first pixel that is used, and the one after the last."""
    used = taps.weights > 0
    last = taps.first + used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    return int(taps.first.min()), int(last.max()) + 1


def _together(lines: Sequence[Taps]) -> tuple[Tensor, Tensor, Tensor]:
    most = max(line.weights.shape[1] for line in lines)
    weights = np.zeros((len(lines), len(lines[0]), most), dtype=np.int32)
    for place, line in enumerate(lines):
        weights[place, :, : line.weights.shape[1]] = line.weights
    first = np.stack([line.first for line in lines])
    return torch.from_numpy(first), torch.from_numpy(weights), torch.tensor([line.shift for line in lines])


def _summed(pixels: Tensor, first: Tensor, weights: Tensor, shift: Tensor, *, dim: int) -> Tensor:
    """``pixels`` (B x 3 x height x width) with the lines along ``dim`` made of those that the taps name."""
    shape = list(pixels.shape)
    shape[dim] = first.shape[1]
    along = [len(pixels), 1, 1, 1]
    along[dim] = first.shape[1]
    shift = shift.int().view(-1, 1, 1, 1)
    total = (torch.ones_like(shift) << shift) >> 1
    for tap in range(weights.shape[2]):
        place = (first + tap).clamp(max=pixels.shape[dim] - 1).view(along).expand(shape)
        total = total + pixels.gather(dim, place).int() * weights[:, :, tap].reshape(along)
    return (total >> shift).clamp(0, 255).to(torch.uint8)
