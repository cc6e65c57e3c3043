"""Losses and miners as a user might write them."""

import torch
from torch import nn


class EverySecond:
    """A miner of the batch: keeps every second item."""

    def __call__(self, embeddings, labels):
        return torch.arange(0, len(labels), 2)


class Recorder:
    """A miner that mines nothing and remembers the sizes of its batches."""

    def __init__(self):
        self.sizes = []

    def __call__(self, embeddings, labels):
        self.sizes.append(len(labels))


class KeepsItsInput(nn.Module):
    """Remembers the types of what it was given, and of what matrix products give inside of it."""

    def forward(self, embeddings, labels, indices_tuple=None):
        products = embeddings @ embeddings.T
        self.dtypes = (embeddings.dtype, products.dtype)
        return products.mean()
