"""The metrics' names, and the names other systems give them. Imports neither torch nor numpy."""

from __future__ import annotations

import re

from powerbench.errors import UserError, nearest

METRICS = ("map_at_r", "precision_at_1", "r_precision")
"""Metrics without a parameter; ``recall_at_<k>`` exists for every k of at least 1."""

USUAL_K = (1, 2, 4, 8, 10, 100, 1000)

ALIASES = {
    "mean_average_precision_at_r": "map_at_r",
    "map@r": "map_at_r",
    "p@1": "precision_at_1",
    "precision@1": "precision_at_1",
    "rp": "r_precision",
}
"""Names of earlier systems, in lower case."""

_RECALL = re.compile(r"(?:e_)?(?:recall|r)(?:_at_|@)([1-9][0-9]*)")


def metric_names() -> list[str]:
    """The canonical names, with ``recall_at_<k>`` at the usual k."""
    return [*METRICS, *(f"recall_at_{k}" for k in USUAL_K)]


def canonical_metric(name: str) -> str:
    """The canonical name of a metric given by its own name or by an alias.

    Aliases are read without regard to case, and with or without the ending ``_level0`` of
    powerful-benchmarker's tables. Raises UserError with the nearest names for any other text.
    """
    plain = name.strip().lower().removesuffix("_level0")
    if plain in METRICS:
        return plain
    if plain in ALIASES:
        return ALIASES[plain]
    if match := _RECALL.fullmatch(plain):
        return f"recall_at_{match[1]}"
    listed = f"{', '.join(METRICS)}, recall_at_<k>"
    near = nearest(plain, [*metric_names(), *ALIASES])
    raise UserError(f"there is no metric named {name!r} (there are: {listed}).", near=near)


def recall_k(metric: str) -> int | None:
    """The k of ``recall_at_<k>``, or None for every other canonical name."""
    return int(metric.removeprefix("recall_at_")) if metric.startswith("recall_at_") else None
