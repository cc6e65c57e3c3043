"""Runs experiments: opens them, proposes trials, launches fold runs, records results, evaluates, reports."""
