"""Powerbench: fair, resumable, cross-validated comparison of deep-metric-learning methods."""
