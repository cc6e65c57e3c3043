"""Miners that pytorch-metric-learning lacks or defines otherwise: one a file, found by its class name."""
