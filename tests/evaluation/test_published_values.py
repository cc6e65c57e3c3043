"""Values that the papers' systems give on toys, hand-computed or run: see docs/metrics.md for the definitions."""

import numpy as np
import pytest

from powerbench.evaluation import measure
from powerbench.evaluation.measuring import measure_queries
from tests.reference.brute_force_retrieval import neighbours

ANGLES = np.radians([0, 60, 90, 190])
TOY = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
LINE = np.array([0, 1, 2.5, 3, 3.6, 10, 11.5])[:, None]
LINE_LABELS = [0, 0, 1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("e_recall@1", 0.5), ("e_recall@2", 0.75), ("e_recall@3", 1.0), ("c_recall@1", 0.5),
        ("mAP_c", 0.3125), ("c_mAP_c", 0.3125), ("map_at_r", 0.5), ("map", 0.708333), ("mAP_lim", 0.354167), ("mAP_1000", 0.354167),
    ],
)  # fmt: skip
def test_revisiting_toy(metric, value):
    assert list(measure(TOY, [0, 0, 1, 1], [metric]).values()) == [pytest.approx(value, abs=1e-6)]


def test_revisiting_toy_with_entries_past_the_end():
    """The published mAP_lim of fewer than 1024 items also credits one missing neighbour, read as the last item."""
    lists = [[1, 2, 3, -1], [2, 0, 3, -1], [1, 0, 3, -1], [2, 1, 0, -1]]
    labels = np.array([0, 0, 1, 1])
    hits = labels[np.array(lists)] == labels[:, None]
    precision = np.cumsum(hits, axis=1) / np.arange(1, 5)
    assert ((hits * precision).sum(axis=1) / 2).mean() == pytest.approx(0.479167, abs=1e-6)
    without = measure(TOY, labels, ["map_lim"])["map_lim"]
    assert without == pytest.approx(0.479167 - (0.5 / 2 * 2) / 4, abs=1e-6)


def test_the_neighbour_lists_of_the_toy():
    lists = [[j for group in groups for j in group] for groups in neighbours(TOY, TOY, own_index=True)]
    assert lists == [[1, 2, 3], [2, 0, 3], [1, 0, 3], [2, 1, 0]]


@pytest.mark.parametrize(
    ("points", "labels", "published"),
    [
        ([[1, 0], [1, 0.001], [0, 1], [0.001, 1]], [0, 0, 1, 1], {"mAP_c": 0.5, "MAP@R": 1.0, "mAP_lim": 0.625}),
        ([[0], [1], [2], [3], [90], [91], [92], [93]], [0] * 4 + [1] * 4, {"mAP_c": 0.75, "mAP_lim": 0.8125}),
    ],
)
def test_perfect_embeddings_in_revisiting(points, labels, published):
    """Its mAP_lim reads the entry past the end as the last item: a hit, after n - 1 hits, for the last class."""
    found = measure(np.array(points, dtype=float), labels, list(published))
    size, items = labels.count(1), len(labels)
    spurious = (size / items) / size * labels.count(1) / items
    found["map_lim"] += spurious
    assert list(found.values()) == [pytest.approx(value, abs=1e-12) for value in published.values()]


@pytest.mark.parametrize(("size", "value"), [(2, 0.5), (3, 2 / 3), (4, 0.75)])
def test_perfect_embeddings_do_not_reach_1_in_map_c(size, value):
    labels = np.repeat([0, 1], size)
    assert measure(labels[:, None] * 1.0, labels, ["map_c", "map_at_r"]) == {
        "map_c": pytest.approx(value),
        "map_at_r": 1.0,
    }


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("recall_at_1", 0.714286), ("recall_at_2", 0.857143), ("recall_at_4", 0.857143), ("recall_at_5", 1), ("marp", 0.726190),
        ("class_recall_at_1", 0.708333), ("class_recall_at_2", 0.833333), ("map_at_r", 0.436508), ("map_c", 0.422619),
    ],
)  # fmt: skip
def test_leave_one_out_on_a_line(metric, value):
    assert measure(LINE, LINE_LABELS, [metric])[metric] == pytest.approx(value, abs=1e-6)


def test_single_queries_on_a_line():
    found = measure_queries(LINE, LINE_LABELS, "mARP")
    np.testing.assert_allclose(found, [0.833333, 0.833333, 0, 0.583333, 0.833333, 1, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("metric", "value"), [("recall_at_1", 0), ("recall_at_2", 1), ("marp", 0.333333), ("map_at_r", 0.138889)]
)
def test_query_and_gallery_on_a_line(metric, value):
    gallery = np.array([0.4, 0.3, 4, 5.5, 8, 9.5])[:, None]
    found = measure(
        np.array([0, 5, 9.0])[:, None], [0, 1, 2], [metric], reference=gallery, reference_labels=[0, 1, 1, 0, 2, 1]
    )
    assert found[metric] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("label", "retrieved", "value"),
    [
        (1, [1, 0, 1], 0.833333), (1, [0, 1], 0.5), (1, [0, 0], 0), (1, [1, 1], 1),
        (7, [7, 5, 7, 7, 7, 7, 2, 3, 1, 7], 0.775), (1, [0, 1, 2, 3, 1, 1, 1, 0, 1, 1], 0.521164),
    ],
)  # fmt: skip
def test_marp_of_lists(label, retrieved, value):
    """The first R labels that are retrieved; relevant items enough to make R follow farther away."""
    labels = retrieved + [label] * (len(retrieved) - retrieved.count(label))
    found = measure(
        np.zeros((1, 1)), [label], ["marp"], reference=np.arange(1.0, len(labels) + 1)[:, None], reference_labels=labels
    )
    assert found["marp"] == pytest.approx(value, abs=1e-6)
