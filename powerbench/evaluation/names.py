"""The metrics' names, and the names other systems give them. Imports neither torch nor numpy.

What each metric is, with its source, stands in docs/metrics.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from powerbench.errors import UserError, nearest

Family = Literal["retrieval", "clustering", "space"]

METRICS: dict[str, Family] = {
    "map_at_r": "retrieval",
    "precision_at_1": "retrieval",
    "r_precision": "retrieval",
    "map": "retrieval",
    "mrr": "retrieval",
    "marp": "retrieval",
    "map_c": "retrieval",
    "map_1000": "retrieval",
    "map_lim": "retrieval",
    "nmi": "clustering",
    "ami": "clustering",
    "f1": "clustering",
    "nmi_sd": "clustering",
    "ami_sd": "clustering",
    "f1_sd": "clustering",
    "dists_intra": "space",
    "dists_inter": "space",
    "dists_intra_over_inter": "space",
    "uniformity": "space",
    "alignment": "space",
}
"""Metrics without a parameter."""

WITH_K: dict[str, Family] = {
    "recall_at": "retrieval",
    "class_recall_at": "retrieval",
    "map_at": "retrieval",
    "rho_spectrum_at": "space",
}
"""Metrics that exist for every whole k of at least 1 (the spectrum's also for those below 0), of 12 digits at most."""

USUAL_K = {
    "recall_at": (1, 2, 4, 8, 10, 100, 1000),
    "class_recall_at": (1,),
    "map_at": (10,),
    "rho_spectrum_at": (-1, 1, 2, 10),
}

COSINE = "c_"
"""Before the name of a retrieval or clustering metric: with cosine distance, whatever the others are measured with."""

SPREAD = "_sd"
"""After the name of a clustering metric: the standard deviation over the clusterings that its value is the mean of."""

ALIASES = {
    "mean_average_precision_at_r": "map_at_r",
    "mean_average_precision": "map",
    "mean_reciprocal_rank": "mrr",
    "p_at_1": "precision_at_1",
    "rp": "r_precision",
    "dists_at_intra": "dists_intra",
    "dists_at_inter": "dists_inter",
    "dists_at_intra_over_inter": "dists_intra_over_inter",
}
"""Names of earlier systems, in lower case and with ``_at_`` for ``@``."""

_PARAMETER = re.compile(r"(?P<base>[a-z_]+_at)_(?P<k>-?[1-9][0-9]{0,11})")
_RECALL = {"e_recall_at": "recall_at", "r_at": "recall_at"}


@dataclass(frozen=True)
class Metric:
    """A metric by the parts of its name: ``c_recall_at_10`` is ``recall_at`` with k 10 and cosine distance."""

    base: str
    k: int | None = None
    cosine: bool = False

    @property
    def family(self) -> Family:
        """Whether ranks, clusters or the embedding space itself are measured."""
        return METRICS[self.base] if self.k is None else WITH_K[self.base]

    @property
    def name(self) -> str:
        """The canonical name."""
        return (COSINE if self.cosine else "") + self.base + ("" if self.k is None else f"_{self.k}")

    @property
    def larger_is_better(self) -> bool:
        """Whether an epoch or a trial may be chosen by this metric."""
        return self.family != "space" and not self.base.endswith(SPREAD)


def metric_names() -> list[str]:
    """The canonical names, those with a parameter at its usual values, without the cosine forms."""
    return [*METRICS, *(f"{base}_{k}" for base, usual in USUAL_K.items() for k in usual)]


def canonical_metric(name: str) -> str:
    """The canonical name of a metric given by its own name or by an alias; see :func:`parsed`."""
    return parsed(name).name


def parsed(name: str) -> Metric:
    """The metric with this name.

    Names are read without regard to case, with ``@`` or ``_at_``, and with or without the ending ``_level0`` of
    powerful-benchmarker's tables. Raises UserError with the nearest names for any other text, and for
    ``rho_spectrum@0``, which is no number.
    """
    plain = name.strip().lower().removesuffix("_level0").replace("@", "_at_")
    found = _found(plain)
    if found is None and plain.startswith(COSINE):
        plain_metric = _found(plain.removeprefix(COSINE))
        if plain_metric is not None and plain_metric.family != "space":
            found = Metric(plain_metric.base, plain_metric.k, cosine=True)
    if plain == "rho_spectrum_at_0":
        what = f"{name} is the whole spectrum and no number, so leave it out (powerbench.evaluation.space.spectrum)."
        raise UserError(what, near=["rho_spectrum_at_1", "rho_spectrum_at_2"])
    if found is None:
        listed = ", ".join([*METRICS, *(f"{base}_<k>" for base in WITH_K)])
        near = nearest(plain, [*metric_names(), *ALIASES])
        raise UserError(
            f"there is no metric named {name!r} (there are: {listed}; {COSINE}<name>; <k> has at most 12 digits).",
            near=near,
        )
    return found


def recall_k(metric: str) -> int | None:
    """The k of ``recall_at_<k>``, or None for every other canonical name."""
    found = parsed(metric)
    return found.k if found.base == "recall_at" else None


def _found(plain: str) -> Metric | None:
    plain = ALIASES.get(plain, plain)
    if plain in METRICS:
        return Metric(plain)
    if match := _PARAMETER.fullmatch(plain):
        base, k = _RECALL.get(match["base"], match["base"]), int(match["k"])
        if base in WITH_K and (k > 0 or base == "rho_spectrum_at"):
            return Metric(base, k)
    return None
