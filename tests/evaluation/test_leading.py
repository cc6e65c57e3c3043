"""Upper bounds of products: never below the products, used where they are cheaper, and without any effect on results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerbench.evaluation import measure
from powerbench.evaluation.ranking import leading, near, points, ranks, tiles
from tests.evaluation.test_measure import ALL, clustered
from tests.evaluation.test_ranking import some_of_everything


def lookup_of(x, labels):
    labels = np.unique(labels, return_inverse=True)[1]
    return ranks.lookup_of(x, labels, None, labels, distance="euclidean", ties="pessimistic")


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 60),
    st.integers(3, 40),
    st.integers(1, 40),
    st.sampled_from([1e-9, 1e-3, 1.0, 1e4]),
    st.sampled_from([0.0, 1.0, 100.0]),
)
def test_no_bound_is_below_its_product(seed, count, dimensions, rank, scale, offset):
    rng = np.random.default_rng(seed)
    rank = min(rank, dimensions)
    x = rng.normal(size=(count, rank)) @ rng.normal(size=(rank, dimensions)) * scale + offset
    x[: count // 4] = x[0]
    x = x.astype(np.float32)
    found = points.points_of(x, np.zeros(count, dtype=np.int64), points.space_of("euclidean", x))
    axes = leading._principal_axes(found.product, min(rank, dimensions - 1))
    bounding = leading._with_rest(found.product @ axes, found.cells.square, dimensions)
    exact = found.product.astype(np.float64) @ found.product.T.astype(np.float64)
    assert bounding.dtype == np.float32
    assert ((bounding @ bounding.T).astype(np.float64) >= exact).all()


@pytest.mark.parametrize("ties", ["pessimistic", "optimistic", "expected"])
@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("within", [True, False])
def test_bounds_change_no_result(monkeypatch, quantise, ties, within):
    x, labels = some_of_everything(quantise)
    x *= np.linspace(1, 0.1, x.shape[1], dtype=np.float32)
    reference = {} if within else {"reference": x[::2], "reference_labels": labels[::2]}
    expected = measure(x, labels, ALL, ties=ties, threads=1, **reference)
    monkeypatch.setattr(leading, "WORTHWHILE", 0)
    monkeypatch.setattr(leading, "LOOKS", (0.0, 0.1, 0.5))
    monkeypatch.setattr(leading, "PAIR", -1e6)  # the narrower, the better
    used = []
    for name in ("scan_rows", "scan_both"):
        scan = getattr(tiles, name)
        monkeypatch.setattr(tiles, name, lambda *args, scan=scan: (used.append(args[-1]), scan(*args)))
    for width, threads in ((2, 1), (5, 2), (18, 3)):
        monkeypatch.setattr(leading, "WIDTHS", (width,))
        monkeypatch.setattr(tiles, "ROWS", 16)
        monkeypatch.setattr(tiles, "COLUMNS", 40)
        assert measure(x, labels, ALL, ties=ties, threads=threads, **reference) == expected
    assert np.mean(used) > 0.5


@pytest.mark.parametrize(("rank", "expected"), [(10, 16), (64, 0)])
def test_the_width_follows_the_embeddings(monkeypatch, rank, expected):
    x, labels = clustered(300, 8, width=rank, spread=0.1 if expected else 0.6)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(64, 64)))[0][:rank].astype(np.float32)
    monkeypatch.setattr(leading, "WORTHWHILE", 0)
    monkeypatch.setattr(leading, "WIDTHS", (16, 32, 48))
    lookup = lookup_of(x @ turn, labels)
    job = lookup.job(0, len(lookup.queries), near.Limits())
    chosen = leading.Leading(lookup, job, 100)
    assert not chosen.vectors.bounds
    chosen.look(job)
    assert chosen.vectors.references.shape[1] == (expected or 64)
    assert chosen.vectors.bounds == bool(expected)


def test_nothing_is_chosen_after_the_last_piece(monkeypatch):
    events = []
    for owner, name in ((tiles, "_count"), (leading.Leading, "_cheapest")):
        whole = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, name=name, whole=whole: (events.append(name), whole(*args))[1])
    monkeypatch.setattr(leading, "WORTHWHILE", 0)
    monkeypatch.setattr(tiles, "STEPS", 1)
    x, labels = clustered(40, 8, width=64)
    measure(x, labels, ["map_at_r"], threads=1)
    assert events == ["_count"]  # all of it is one tile
    events.clear()
    monkeypatch.setattr(tiles, "ROWS", 64)
    measure(x, labels, ["map_at_r"], threads=1)
    assert events[:3] == ["_count", "_cheapest", "_count"]
    assert events[-1] == "_count"


def test_small_evaluations_do_not_look_for_axes(monkeypatch):
    monkeypatch.setattr(leading, "_principal_axes", None)
    x, labels = clustered(300, 8, width=64)
    assert measure(x, labels, ["map_at_r"])["map_at_r"] > 0
