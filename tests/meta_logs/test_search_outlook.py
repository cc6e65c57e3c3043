"""What a further trial of a search may bring."""

import numpy as np
from synthetic_searches import hill, mixed, results_with

from meta_logs.optimization.outlook import FEWEST, outlook_of, outlook_text
from meta_logs.optimization.search import search_of


def along(points, noise=0.0, seed=0):
    """A search of x in [0, 1] whose best, 0.4, is at 0.7."""
    drawn = noise * np.random.default_rng(seed).standard_normal(len(points))
    means = [0.4 - (x - 0.7) ** 2 + e for x, e in zip(points, drawn, strict=True)]
    return search_of(results_with({"x": ("BAYESIAN", [0, 1])}, [{"x": x} for x in points], means))


def test_a_search_that_has_seen_its_peak_need_not_go_on_and_one_that_has_not_should():
    seen = outlook_of(along([*np.linspace(0, 1, 12), 0.65, 0.68, 0.7, 0.72, 0.75], noise=0.002))
    unseen = outlook_of(along(np.linspace(0, 0.35, 12), noise=0.002))
    assert seen.unlikely_to_matter
    assert not unseen.unlikely_to_matter
    assert unseen.gain > 20 * seen.gain
    assert 0.1 < seen.noise < 0.5, "0.2 points were drawn"


def test_it_is_said_with_its_unit_and_the_advice_only_where_it_holds():
    said = outlook_text(along([*np.linspace(0, 1, 12), 0.65, 0.68, 0.7, 0.72, 0.75], noise=0.002))
    assert " points (a model of the trials" in said
    assert said.endswith("further trials are unlikely to matter.")
    assert "unlikely" not in outlook_text(along(np.linspace(0, 0.35, 12), noise=0.002))


def test_nothing_is_said_of_few_or_equal_trials_and_every_kind_of_parameter_has_an_outlook():
    assert outlook_text(along(np.linspace(0, 1, FEWEST - 1))) is None
    assert outlook_text(search_of(results_with({"x": ("BAYESIAN", [0, 1])}, [{"x": 0.5}] * 12, [0.4] * 12))) is None
    for results in (hill(), mixed()):
        assert outlook_of(search_of(results)).gain >= 0
