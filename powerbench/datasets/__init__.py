"""Datasets, one a file: items, labels and verified counts. A dataset never knows about splits."""
