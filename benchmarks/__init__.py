"""Timings, measured side by side in one run; run by anyone with ``make bench`` or ``python -m benchmarks``."""
