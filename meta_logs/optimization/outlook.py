"""What a further trial of a search may bring, by the model of its trials; advice that stops nothing by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_logs.optimization.search import Search

FEWEST = 10
"""Trials below which nothing is said: the model knows too little."""
SMALL = 0.25
"""A further trial is unlikely to matter if it is expected to gain less than this part of one trial's noise."""
_PLACES = 4096
_NEAR, _WIDTHS = 256, (0.1, 0.03, 0.01)


@dataclass(frozen=True)
class Outlook:
    """In the units shown: ``gain`` that one more trial is expected to bring at the best place, ``noise`` of a trial."""

    gain: float
    noise: float

    @property
    def unlikely_to_matter(self) -> bool:
        """Whether the search may as well end."""
        return self.gain < SMALL * self.noise


def outlook_text(search: Search) -> str | None:
    """What to say of it; ``None`` where nothing is known."""
    outlook = outlook_of(search)
    if outlook is None:
        return None
    unit = " points" if search.scale == 100 else ""
    said = (
        f"one more search trial is expected to improve the best by {outlook.gain:.2g}{unit} (a model of the trials, "
        f"which takes {outlook.noise:.2g}{unit} for the noise of one)"
    )
    return f"{said}: further trials are unlikely to matter." if outlook.unlikely_to_matter else f"{said}."


def outlook_of(search: Search) -> Outlook | None:
    """The highest expected improvement over the best trial's modelled value; ``None`` without a model or a range."""
    model = search.surrogate
    if model is None or len(search.trials) < FEWEST:
        return None
    from scipy.special import ndtr

    places = _places(search)
    mean, deviation = model.predict(places * search.units)
    deviation = np.maximum(deviation, 1e-12)
    gap = (mean - model.mean(model.points).max()) / deviation
    density = np.exp(-0.5 * gap**2) / np.sqrt(2 * np.pi)
    return Outlook(float((deviation * (density + gap * ndtr(gap))).max()), float(model.spread * np.sqrt(model.noise)))


def _places(search: Search) -> NDArray[np.float64]:
    """Places all over the space, and around the best trial; the same each time."""
    from scipy.stats.qmc import Sobol

    sizes = np.array([len(axis.values) for axis in search.axes])
    unit = Sobol(len(sizes), scramble=True, rng=np.random.default_rng(0)).random(_PLACES)
    spread = np.asarray(np.where(sizes > 0, np.floor(unit * sizes), unit))
    if search.chosen is None or not np.isfinite(search.points[search.chosen]).all():
        return spread
    generator, best = np.random.default_rng(1), search.points[search.chosen]
    near = [best + width * generator.standard_normal((_NEAR, len(sizes))) for width in _WIDTHS]
    return np.concatenate([spread, *(np.where(sizes > 0, best, np.clip(points, 0, 1)) for points in near)])
