"""Retrieval values do not depend on how the work is cut, on threads, or on what multiplies, and memory is bounded."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from powerbench.evaluation import measure
from powerbench.evaluation.ranking import faiss_lists, tiles, torch_tiles
from powerbench.evaluation.ranking.backends import Backend
from tests.evaluation.test_measure import ALL, clustered
from tests.evaluation.test_ranking import found_over_shards, some_of_everything

TORCH = Backend("torch", "cpu")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=10),
    width=st.integers(1, 6),
    grain=st.sampled_from([0, 0.5]),
    seed=st.integers(0, 10**6),
    ties=st.sampled_from(["pessimistic", "optimistic", "expected"]),
    distance=st.sampled_from(["euclidean", "cosine"]),
    metrics=st.lists(st.sampled_from(ALL), min_size=1, max_size=3, unique=True),
    share=st.sampled_from([None, 0.5]),
    backend=st.sampled_from([Backend(), TORCH, Backend("torch", "cpu", memory=1), Backend("faiss", "cpu")]),
    threads=st.integers(1, 3),
    tile=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
@pytest.mark.filterwarnings("ignore:no query")
def test_every_way_to_count_gives_the_same_bits(
    monkeypatch, sizes, width, grain, seed, ties, distance, metrics, share, backend, threads, tile
):
    x, labels = clustered(len(sizes), sizes, width=width, seed=seed, normalise=False)
    if grain:
        x = np.round(x / grain) * np.float32(grain)
    rest = {}
    if share is not None:
        queries = np.random.default_rng(seed).random(len(x)) < share
        rest = {"reference": x[~queries], "reference_labels": labels[~queries]}
        x, labels = x[queries], labels[queries]
    expected = measure(x, labels, metrics, ties=ties, distance=distance, threads=1, **rest)
    with monkeypatch.context() as patch:
        patch.setattr(torch_tiles, "SMALLEST", tile[0])
        patch.setattr(tiles, "ROWS", tile[0])
        patch.setattr(tiles, "COLUMNS", tile[1])
        found = measure(x, labels, metrics, ties=ties, distance=distance, threads=threads, backend=backend, **rest)
    np.testing.assert_equal(found, expected)


@pytest.mark.parametrize("backend", [TORCH, Backend("faiss", "cpu")], ids=["torch", "faiss"])
@pytest.mark.parametrize("quantise", [False, True])
def test_shards_can_be_counted_by_any_backend(backend, quantise):
    x, labels = some_of_everything(quantise)
    items = list(range(len(x)))
    found = found_over_shards(x, labels, [items[1::2], items[::2]], items, "pessimistic", backend=backend)
    assert found == pytest.approx(measure(x, labels, ALL), abs=1e-13)


@pytest.mark.parametrize("choose", ["everything at once", "by library"])
def test_products_are_float32_whatever_training_has_chosen(choose):
    x, labels = some_of_everything(quantise=False)
    expected = measure(x, labels, ALL)
    libraries = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    before = [library.fp32_precision for library in libraries]
    try:
        if choose == "by library":  # from then on torch refuses to say what it was for all of them
            libraries[0].fp32_precision, libraries[1].fp32_precision = "tf32", "bf16"
        else:
            torch.set_float32_matmul_precision("medium")
        chosen = [library.fp32_precision for library in libraries]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert measure(x, labels, ALL, backend=TORCH) == expected
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        assert [library.fp32_precision for library in libraries] == chosen == ["tf32", "bf16"]
    finally:
        for library, precision in zip(libraries, before, strict=True):
            library.fp32_precision = precision


def test_threads_of_torch_are_left_as_they_were():
    x, labels = some_of_everything(quantise=False)
    before = torch.get_num_threads()
    measure(x, labels, ["map_at_r"], backend=TORCH, threads=before + 1)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("memory", [2**18, 2**16])
def test_tiles_keep_within_the_memory_given(monkeypatch, memory):
    x, labels = clustered(60, 5, width=8)
    expected, sizes, cut = measure(x, labels, ["map_at_r"]), [], tiles.tiles_of

    def watched(*arguments):
        for tile in cut(*arguments):
            sizes.append((tile.q1 - tile.q0) * (tile.n1 - tile.n0))
            yield tile

    monkeypatch.setattr(torch_tiles, "SMALLEST", 1)
    monkeypatch.setattr(torch_tiles, "tiles_of", watched)
    assert measure(x, labels, ["map_at_r"], backend=Backend("torch", "cpu", memory=memory)) == expected
    assert len(sizes) > 1
    assert max(sizes) * torch_tiles.BYTES_PER_PRODUCT <= memory


def test_pairs_of_one_class_stay_on_the_device(monkeypatch):
    """In one large class, or in few, nearly all pairs are near each other."""
    counted, count_pairs = [], torch_tiles.count_pairs

    def watched(rows, columns, products, found, job):
        own = (job.near.own_begin[rows - job.first] <= columns) & (columns < job.near.own_end[rows - job.first])
        counted.append((found, int(own.sum())))
        count_pairs(rows, columns, products, found, job)

    monkeypatch.setattr(torch_tiles, "count_pairs", watched)
    monkeypatch.setattr(torch_tiles, "SMALLEST", 7)
    for classes in (1, 3):
        x, labels = clustered(classes, 30, spread=2.0)
        counted.clear()
        found = measure(x, labels, ["map", "mrr"], backend=Backend("torch", "cpu", memory=1))
        assert found == measure(x, labels, ["map", "mrr"])
        assert {own for _, own in counted} == {0}
        assert (sum(pairs for pairs, _ in counted) == 0) == (classes == 1)


def test_long_lists_of_neighbours_are_multiplied_a_few_at_a_time(monkeypatch):
    x, labels = clustered(20, 9, width=8, spread=2.0)
    expected = measure(x, labels, ["map_at_100", "r_precision"])
    monkeypatch.setattr(faiss_lists, "NUMBERS_AT_A_TIME", 2000)
    monkeypatch.setattr(faiss_lists, "QUERIES_AT_A_TIME", 50)
    assert measure(x, labels, ["map_at_100", "r_precision"], backend=Backend("faiss", "cpu")) == expected
