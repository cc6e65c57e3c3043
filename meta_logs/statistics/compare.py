"""Every pair of methods over their reproductions of equal index, with a correction for the number of pairs.

Reproductions of equal index share their seeds (folds, batches, initial weights), hence paired tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from powerbench.store.intervals import mean_and_sem, mean_interval

MIN_WILCOXON = 6
"""With fewer pairs the signed-rank test cannot reach 0.05 on two sides, whatever the values."""


@dataclass(frozen=True)
class Comparison:
    """``first`` minus ``second`` over ``n`` pairs. What cannot be computed from so few is ``None``.

    ``low`` and ``high`` bound the mean difference by a paired t interval of this pair alone; ``p`` is its test,
    ``p_holm`` that corrected for all pairs; ``holds`` says whether the corrected one is significant.
    """

    first: str
    second: str
    n: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    p_wilcoxon: float | None
    holds: bool


def compare(values: Mapping[str, Mapping[int, float]], confidence: float = 0.95) -> list[Comparison]:
    """Compare every pair of methods; ``values`` maps a method to its value by reproduction index.

    Paired t-tests, Holm's correction over all pairs that could be tested, and Wilcoxon's signed-rank test
    (uncorrected, as a check on normality) from six pairs on. A pair with fewer than two common indices never holds.
    """
    pairs = list(combinations(values, 2))
    differences = [_differences(values[first], values[second]) for first, second in pairs]
    raw = [paired_t(d) for d in differences]
    tested = [p for p in raw if p is not None]
    corrected = iter(holm(tested))
    found = []
    for (first, second), d, p in zip(pairs, differences, raw, strict=True):
        interval = mean_interval(d, confidence) if d else None
        p_holm = next(corrected) if p is not None else None
        found.append(
            Comparison(
                first,
                second,
                len(d),
                interval.mean if interval else None,
                interval.low if interval else None,
                interval.high if interval else None,
                p,
                p_holm,
                wilcoxon(d),
                p_holm is not None and p_holm < 1 - confidence,
            )
        )
    return found


def _differences(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    return [first[index] - second[index] for index in sorted(set(first) & set(second))]


def paired_t(differences: Sequence[float]) -> float | None:
    """The two-sided p-value that the mean difference is zero; ``None`` below two, or if a value is not finite.

    Without any spread it is 1 if all differences are zero and 0 if all are the same other number.
    """
    from scipy.special import stdtr

    array = np.asarray(differences, dtype=np.float64)
    if len(array) < 2 or not np.isfinite(array).all():
        return None
    mean, sem = mean_and_sem(differences)
    if not sem:
        return 1.0 if mean == 0 else 0.0
    t = mean / sem
    return float(2 * stdtr(len(array) - 1, -abs(t)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): adjusted p-values in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def wilcoxon(differences: Sequence[float]) -> float | None:
    """The two-sided p-value of Wilcoxon's signed-rank test (zeros dropped); ``None`` below six pairs left."""
    kept = [d for d in differences if d != 0 and math.isfinite(d)]
    if len(kept) < MIN_WILCOXON or len(differences) < MIN_WILCOXON:
        return None
    from scipy.stats import wilcoxon as signed_rank

    return float(signed_rank(kept).pvalue)
