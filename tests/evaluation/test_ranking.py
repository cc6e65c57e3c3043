"""The rank-counting engine from within: its ways of cutting the work change nothing; prepared points; sharding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerbench.evaluation import measure
from powerbench.evaluation.measuring import measure_queries
from powerbench.evaluation.names import parsed
from powerbench.evaluation.ranking import kernels, near, points, ranks, sharding, tiles
from powerbench.evaluation.ranking.backends import ON_CPU, Backend
from powerbench.evaluation.retrieval import limits_of, means_of
from tests.evaluation.test_measure import ALL, clustered
from tests.reference.brute_force_retrieval import brute_force


def some_of_everything(quantise):
    """Uneven classes, lone items; quantised ones with repetitions within and across classes."""
    x, labels = clustered(25, np.arange(25) % 7 + 1, width=24, spread=1.5)
    if quantise:
        x = np.concatenate([np.round(x * 3) / 3, x[:40], x[:20]])
        labels = np.concatenate([labels, np.roll(labels[:40], 7), labels[:20]])
    return x, labels


@pytest.mark.parametrize("ties", ["pessimistic", "optimistic", "expected"])
@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("within", [True, False])
def test_nothing_depends_on_how_the_work_is_cut(monkeypatch, quantise, ties, within):
    x, labels = some_of_everything(quantise)
    reference = {} if within else {"reference": x[::2], "reference_labels": labels[::2]}
    expected = measure(x, labels, ALL, ties=ties, threads=1, **reference)
    for rows, columns, positives, entries, threads in ((1, 1, 1, 1, 1), (7, 3, 50, 20, 2), (512, 64, 300, 10**6, 3)):
        monkeypatch.setattr(tiles, "ROWS", rows)
        monkeypatch.setattr(tiles, "COLUMNS", columns)
        monkeypatch.setattr(near, "POSITIVES_AT_A_TIME", positives)
        monkeypatch.setattr(ranks, "ENTRIES_AT_A_TIME", entries)
        assert measure(x, labels, ALL, ties=ties, threads=threads, **reference) == expected


def test_rows_of_several_chunks(monkeypatch):
    monkeypatch.setattr(tiles, "COLUMNS", 2 * kernels.CHUNK + 9)
    x, labels = clustered(60, np.arange(60) % 9 + 1, width=8, spread=0.8)
    wanted = ["map_at_r", "marp", "recall_at_10", "mrr"]
    expected = brute_force(x, labels, wanted)
    assert measure(x, labels, wanted, threads=1) == pytest.approx(expected, abs=1e-12)
    queries = slice(0, None, 3)
    rest = {"reference": x, "reference_labels": labels}
    expected = brute_force(x[queries], labels[queries], wanted, **rest)
    assert measure(x[queries], labels[queries], wanted, **rest) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("columns", [3, 64])
@pytest.mark.parametrize("first", [0, 13])
@pytest.mark.parametrize("steps", [1, 4])
def test_tiles_bring_every_pair_together_once(columns, first, steps):
    x, labels = some_of_everything(quantise=False)
    lookup = ranks.lookup_of(x, labels, None, labels, distance="euclidean", ties="pessimistic")
    last, count = 57, np.zeros((len(x), len(x)), dtype=int)
    for tile in tiles.tiles_of(lookup, first, last, 10, columns, steps):
        count[tile.q0 : tile.q1, tile.n0 : tile.n1] += 1
        if tile.both:
            count[tile.n0 : tile.n1, tile.q0 : tile.q1] += 1
    assert (count[first:last] == 1).all()
    assert count[:first].sum() == count[last:].sum() == 0


def test_classes_too_large_to_be_looked_at_together():
    sizes = [kernels.SHARED + 20, 3, 40]
    x, labels = clustered(3, sizes, width=4, spread=1.5)
    wanted, some = ["map", "map_at_r", "mrr"], slice(0, 9)
    alone = {name: measure_queries(x, labels, name)[some] for name in wanted}
    for q in range(9):
        others = np.arange(len(x)) != q
        query, rest = (x[q : q + 1], labels[q : q + 1]), {"reference": x[others], "reference_labels": labels[others]}
        expected = brute_force(*query, wanted, **rest)
        assert measure(*query, wanted, **rest) == pytest.approx(expected, abs=1e-12)
        assert {name: values[q] for name, values in alone.items()} == pytest.approx(expected, abs=1e-12)


def test_cells_are_distinct_and_account_for_every_item():
    x, labels = some_of_everything(quantise=True)
    found = points.points_of(x, labels, points.space_of("euclidean", x))
    assert found.cells.copies.sum() == len(x)
    assert (np.diff(found.classes) >= 0).all()
    np.testing.assert_array_equal(x[found.cells.item[found.cell_of]], x)
    np.testing.assert_array_equal(found.classes[found.cell_of], labels)
    assert len({(int(c), x[i].tobytes()) for c, i in zip(found.classes, found.cells.item, strict=True)}) == len(found)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e150])
def test_the_scale_of_the_embeddings_does_not_matter(scale):
    x, labels = clustered(12, 6, spread=1.5)
    x = x.astype(np.float64)
    for distance in ("euclidean", "cosine"):
        expected = measure(x, labels, ALL, distance=distance)
        assert measure(x * scale, labels, ALL, distance=distance) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("exponent", [-1030, -1060, -1070])
def test_the_smallest_numbers_of_float64_are_told_apart(exponent):
    x, labels = clustered(12, 6, spread=1.5)
    x = np.round(x.astype(np.float64) * 16)  # whole numbers keep all their digits, however small the unit
    some_rows = np.where(np.arange(len(x)) % 2, exponent, 0)[:, None]
    for distance in ("euclidean", "cosine"):
        expected = measure(x, labels, ALL, distance=distance)
        assert 0.01 < expected["map_at_r"] < 0.9
        assert measure(np.ldexp(x, exponent), labels, ALL, distance=distance) == pytest.approx(expected, abs=1e-13)
    assert measure(np.ldexp(x, some_rows), labels, ALL, distance="cosine") == pytest.approx(expected, abs=1e-13)


def test_cosine_distance_looks_at_directions_only():
    x, labels = clustered(12, 6, spread=1.5)
    lengths = np.random.default_rng(0).uniform(0.01, 100, size=(len(x), 1)).astype(np.float32)
    expected = measure(x, labels, ALL)
    assert measure(x * lengths, labels, ALL, distance="cosine") == pytest.approx(expected, abs=1e-12)
    assert measure(x * lengths, labels, ["c_map_at_r", "map_at_r"])["c_map_at_r"] == pytest.approx(expected["map_at_r"])


def test_parallel_vectors_tie_in_cosine_distance():
    x = np.outer([1, 2, 3, 0.7, 1 / 3], [0.1, 0.7, -0.3])
    labels = [0, 0, 1, 1, 1]
    assert measure(x, labels, ["precision_at_1"], distance="cosine") == {"precision_at_1": 0.0}
    assert measure(x, labels, ["precision_at_1"], distance="cosine", ties="optimistic") == {"precision_at_1": 1.0}


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    width=st.integers(1, 9),
    grain=st.sampled_from([0, 0.5, 2.0]),
    spread=st.floats(0.1, 4),
    seed=st.integers(0, 10**6),
    ties=st.sampled_from(["pessimistic", "optimistic"]),
    distance=st.sampled_from(["euclidean", "cosine"]),
    share=st.sampled_from([None, 0.3, 0.7]),
)
@pytest.mark.filterwarnings("ignore:no query")
def test_agrees_with_brute_force_whatever_the_data(sizes, width, grain, spread, seed, ties, distance, share):
    x, labels = clustered(len(sizes), sizes, width=width, spread=spread, seed=seed, normalise=seed % 2 == 0)
    if grain:
        x = np.round(x / grain) * np.float32(grain)
    rest = {}
    if share is not None:
        queries = np.random.default_rng(seed).random(len(x)) < share
        rest = {"reference": x[~queries], "reference_labels": labels[~queries]}
        x, labels = x[queries], labels[queries]
    found = measure(x, labels, ALL, ties=ties, distance=distance, **rest)
    expected = brute_force(x, labels, ALL, ties=ties, distance=distance, **rest)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_nearly_collapsed_embeddings_are_told_apart():
    """Differences of a few units in the last place of float32: products alone could not tell."""
    x, labels = clustered(10, 6, width=12, spread=1.0)
    x = (np.float32(0.3) + np.float32(2e-7) * x).astype(np.float32)
    expected = brute_force(x, labels, ALL)
    assert expected["precision_at_1"] > 0.2
    assert measure(x, labels, ALL) == pytest.approx(expected, abs=1e-12)


def test_embeddings_that_all_are_equal_are_few_cells():
    x, labels = np.full((600, 8), 0.1, dtype=np.float32), np.arange(600) % 30
    assert len(points.points_of(x, labels, points.space_of("euclidean", x))) == 30
    n, same = 599, 19
    found = measure(x, labels, ["r_precision", "mrr", "recall_at_3"], ties="expected")
    assert found["r_precision"] == pytest.approx(same / n)
    assert found["recall_at_3"] == pytest.approx(1 - np.prod((n - same - np.arange(3)) / (n - np.arange(3))))


def found_over_shards(x, labels, parts, queries, ties, distance="euclidean", backend=ON_CPU):
    """All metrics, with the items of ``parts`` (lists of places in x) as the shards of the reference."""
    shards = []
    for part in parts:
        own = np.array([part.index(q) if q in part else -1 for q in queries])
        shards.append(sharding.Shard(x[part], labels[part], own))
    lookups = sharding.lookups_of(x[queries], labels[queries], shards, distance=distance, ties=ties)
    metrics = [parsed(name) for name in ALL]
    ranked = sharding.rank_over_shards(lookups, limits_of(metrics), backend=backend)
    return dict(zip(ALL, means_of(metrics, ranked, lookups[0]), strict=True))


@pytest.mark.parametrize("ties", ["pessimistic", "optimistic", "expected"])
@pytest.mark.parametrize("quantise", [False, True])
def test_ranks_add_up_over_shards(quantise, ties):
    x, labels = some_of_everything(quantise)
    everything = list(range(len(x)))
    cuts = [everything[:11], everything[11:70], everything[70:]]
    expected = measure(x, labels, ALL, ties=ties)
    assert found_over_shards(x, labels, cuts, everything, ties) == pytest.approx(expected, abs=1e-13)
    assert found_over_shards(x, labels, [everything], everything, ties) == pytest.approx(expected, abs=1e-13)
    queries, references = everything[::3], [i for i in everything if i % 3]
    expected = measure(
        x[queries], labels[queries], ALL, ties=ties, reference=x[references], reference_labels=labels[references]
    )
    cuts = [references[::2], references[1::2]]
    assert found_over_shards(x, labels, cuts, queries, ties) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_shards_of_another_scale_than_the_queries(scale):
    x, labels = some_of_everything(quantise=False)
    x[::3] *= np.float32(scale)
    queries, references = list(range(0, len(x), 3)), [i for i in range(len(x)) if i % 3]
    expected = measure(x[queries], labels[queries], ALL, reference=x[references], reference_labels=labels[references])
    found = found_over_shards(x, labels, [references[::2], references[1::2]], queries, "pessimistic")
    assert found == pytest.approx(expected, abs=1e-13)


BACKENDS = [Backend("torch", "cpu"), Backend("torch", "cpu", memory=1), Backend("faiss", "cpu")]


@pytest.mark.parametrize("backend", BACKENDS, ids=["torch", "torch in little memory", "faiss"])
@pytest.mark.parametrize("ties", ["pessimistic", "optimistic", "expected"])
@pytest.mark.parametrize("quantise", [False, True])
def test_backends_agree(monkeypatch, backend, quantise, ties):
    monkeypatch.setattr("powerbench.evaluation.ranking.torch_tiles.SMALLEST", 16)
    x, labels = some_of_everything(quantise)
    for metrics in (ALL, ["map_at_r"], ["recall_at_4"]):
        for rest in ({}, {"reference": x[::2], "reference_labels": labels[::2]}, {"distance": "cosine"}):
            found = measure(x, labels, metrics, ties=ties, backend=backend, **rest)
            assert found == measure(x, labels, metrics, ties=ties, **rest)


def test_an_empty_reference_for_every_backend():
    for backend in BACKENDS:
        with pytest.warns(UserWarning, match="no query"):
            found = measure(
                np.ones((2, 3)), [0, 1], ["mrr"], reference=np.ones((0, 3)), reference_labels=[], backend=backend
            )
        assert np.isnan(found["mrr"])


def test_values_of_single_queries():
    x, labels = some_of_everything(quantise=True)
    values = measure_queries(x, labels, "map_at_r")
    assert values.shape == labels.shape
    np.testing.assert_array_equal(np.isnan(values), np.bincount(labels)[labels] == 1)
    assert np.nanmean(values) == pytest.approx(measure(x, labels, ["map_at_r"])["map_at_r"])


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    cameras=st.integers(1, 4),
    grain=st.sampled_from([0, 1.0]),
    seed=st.integers(0, 10**6),
    ties=st.sampled_from(["pessimistic", "optimistic"]),
    share=st.sampled_from([None, 0.4]),
    backend=st.sampled_from([ON_CPU, *BACKENDS]),
)
@pytest.mark.filterwarnings("ignore:no query")
def test_references_of_the_same_class_and_camera_are_left_out(sizes, cameras, grain, seed, ties, share, backend):
    x, labels = clustered(len(sizes), sizes, width=3, spread=2.0, seed=seed, normalise=False)
    camera = np.random.default_rng(seed + 1).integers(0, cameras, len(x))
    if grain:
        x = np.round(x / grain) * np.float32(grain)
    queries = np.random.default_rng(seed).random(len(x)) < (share or 2)
    rest = {"apart": camera[queries], "ties": ties}
    if share:
        rest |= {"reference": x[~queries], "reference_labels": labels[~queries], "reference_apart": camera[~queries]}
    expected = brute_force(x[queries], labels[queries], ALL, **rest)
    found = measure(x[queries], labels[queries], ALL, backend=backend, **rest)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
    values = measure_queries(x[queries], labels[queries], "map", **rest)
    assert np.isnan(values).all() or np.nanmean(values) == pytest.approx(expected["map"], abs=1e-12)
