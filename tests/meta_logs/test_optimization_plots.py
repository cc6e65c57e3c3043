"""The pictures of a search, whatever was searched and however little came of it."""

import gzip
import json
import re
from base64 import b64decode

import numpy as np
import pytest
from scipy import stats
from synthetic_searches import hill, line, mixed, results_with

from meta_logs.figures import figures_of
from meta_logs.optimization import figures, plots
from meta_logs.optimization.contours import contours
from meta_logs.optimization.page import optimization_page
from meta_logs.optimization.search import search_of

TWO = {"pos_margin": ("BAYESIAN", [-0.2, 2]), "neg_margin": ("BAYESIAN", [-0.2, 2])}
PAIRS = [{"pos_margin": x, "neg_margin": y} for x, y in np.random.default_rng(0).uniform(-0.2, 2, (9, 2)).tolist()]
EVERYTHING = {"optimization", "slices", "contours", "parallel_coordinates", "importance"}
LINE = {"optimization", "slices"}
CASES = {
    "three": (hill(15, failed=(3, 7)), EVERYTHING),
    "five of all kinds": (mixed(12, failed=(2,)), EVERYTHING),
    "two": (results_with(TWO, PAIRS, np.linspace(0.2, 0.3, 9), folds=1), EVERYTHING),
    "one": (line(8, failed=(0,)), LINE),
    "one trial": (line(1), LINE),
    "two trials of two": (results_with(TWO, PAIRS[:2], [0.2, 0.3]), LINE | {"parallel_coordinates"}),
    "equal trials": (results_with(TWO, PAIRS, [0.2] * 9), LINE | {"parallel_coordinates"}),
    "all failed": (line(3, failed=(0, 1, 2)), set()),
    "no trial": (line(0), set()),
    "a list of numbers": (
        results_with({"bins": ("GRID", [2, 4, 8, 16, 32])}, [{"bins": n} for n in (2, 4, 8, 16, 32)], [0.1, 0.2, 0.3, 0.2, 0.1]),
        LINE,
    ),
    "bounds that were moved": (
        results_with(TWO, [*PAIRS, {"pos_margin": -1.0, "neg_margin": 3.5}], np.linspace(0.2, 0.3, 10)),
        EVERYTHING,
    ),
    "nothing is searched any longer": (results_with({}, PAIRS, np.linspace(0.2, 0.3, 9)), EVERYTHING),
}  # fmt: skip


FAST = ("five of all kinds", "one trial", "all failed", "no trial")


@pytest.mark.parametrize("case", [pytest.param(c, marks=[] if c in FAST else [pytest.mark.slow]) for c in CASES])
def test_every_search_renders(case, monkeypatch):
    results, expected = CASES[case]
    search = search_of(results)
    monkeypatch.setattr("meta_logs.figures.learning_curves", lambda results: None)
    drawn = figures_of(results, search)
    assert set(drawn) == expected
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())
    page = optimization_page(search)
    assert (page is None) == (not expected)
    titles = {"optimization": "Trace", "parallel_coordinates": "Parallel coordinates"}
    if page is not None:
        assert {s["title"] for s in sections(page)} == {titles.get(name, name.capitalize()) for name in expected}


def sections(page):
    (text,) = re.findall(r"^const sections = (.*);$", page, re.MULTILINE)
    return json.loads(text)


def test_best_so_far_has_the_interval_over_folds_of_its_own_trial():
    search = search_of(hill(12, failed=(4,)))
    means = [100 * t.mean for t in search.trials]
    best = [int(np.argmax(means[: i + 1])) for i in range(11)]
    assert search.leaders.tolist() == best
    low, high = search.best_interval()
    for place, leader in enumerate(best):
        half = stats.t.ppf(0.975, 3) * 100 * search.trials[leader].sem
        assert (low[place], high[place]) == pytest.approx((means[leader] - half, means[leader] + half))
    assert search_of(hill(12, folds=1)).best_interval() is None
    (axes,) = figures.trace(search).axes
    drawn = {item.get_label(): item for item in (*axes.lines, *axes.collections)}
    assert list(drawn["best so far"].get_ydata()) == pytest.approx([means[leader] for leader in best])
    assert list(drawn["failed"].get_xdata()) == [4]
    assert list(drawn["chosen"].get_xdata()) == [search.results.best.number]
    assert axes.get_ylabel() == "validation MAP@R (%)"


def panels(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def test_slices_and_contours_have_the_scales_of_the_search():
    search = search_of(hill(15))
    shown = panels(figures.slices(search))
    assert [axes.get_xscale() for axes in shown] == ["log", "log", "linear"]
    assert [axes.get_xlabel() for axes in shown] == ["alpha (log scale)", "beta (log scale)", "base"]
    above, left, right, bar = panels(contours(search))
    assert (above.get_ylabel(), left.get_ylabel(), right.get_ylabel()) == ("beta (log scale)", "base", "")
    assert (left.get_xlabel(), right.get_xlabel()) == ("alpha (log scale)", "beta (log scale)")
    assert bar.get_ylabel() == "model of the validation MAP@R (%)"


def test_a_slice_is_the_model_with_the_rest_as_in_the_chosen_trial():
    search = search_of(hill(20))
    places, mean, _ = search.line(search.axes[1])
    points = np.array([[search.points[search.chosen][0], place, search.points[search.chosen][2]] for place in places])
    np.testing.assert_allclose(mean, search.surrogate.mean(points))
    across, up, plane = search.plane(search.axes[0], search.axes[2])
    point = np.array([[across[5], search.points[search.chosen][1], up[30]]])
    assert plane[30, 5] == pytest.approx(search.surrogate.mean(point)[0])


def test_of_many_parameters_the_most_important_are_drawn_against_each_other():
    generator = np.random.default_rng(0)
    names = [f"p{i}" for i in range(8)]
    points = [dict(zip(names, row, strict=True)) for row in generator.random((30, 8)).tolist()]
    results = results_with({n: ("BAYESIAN", [0, 1]) for n in names}, points, [0.3 + 0.1 * p["p7"] for p in points])
    search = search_of(results)
    assert len(search.drawn) == 6
    assert "p7" in [axis.name for axis in search.drawn]
    assert len(search.pairs) == len(plots.contours(search)) == 15


def test_the_page_is_whole_escaped_and_needs_no_network():
    name = "<img src=x onerror=alert(1)>"
    page = optimization_page(search_of(mixed(12, failed=(2,), name=name)))
    assert "<img" not in page
    assert "<i>" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert not re.search(r"(src|href|url)\s*[=(]", page.replace("src=x onerror", ""))
    assert "default-src 'none'" in page
    assert 'showSendToCloud: false, plotlyServerURL: ""' in page
    library = re.search(r'<script id="plotly" type="text/plain">([^<]*)</script>', page)[1]
    assert b"plotly.js v" in gzip.decompress(b64decode(library))[:200]
    assert len(page) < 2.5e6
    text = json.dumps(sections(page))
    assert "hard &lt;i&gt;nega" in text, "plotly would read it as markup"
    assert "the &lt;b&gt;loss&lt;/b&gt; is NaN" in text
    assert page == optimization_page(search_of(mixed(12, failed=(2,), name=name)))
