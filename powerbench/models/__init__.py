"""Trunks, embedders and their weights."""
