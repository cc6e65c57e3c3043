"""pytorch-metric-learning's AccuracyCalculator: equal where nothing ties, within our bracket where something does."""

import numpy as np
import pytest
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from powerbench.evaluation import measure
from powerbench.evaluation.clustering import KMeans
from tests.evaluation.test_measure import clustered

AT_R = ("mean_average_precision_at_r", "r_precision", "precision_at_1")


def theirs(x, labels, include, k, **reference):
    given = {name: torch.from_numpy(np.asarray(value)) for name, value in reference.items()}
    calculator = AccuracyCalculator(include=include, k=k)
    return calculator.get_accuracy(torch.from_numpy(x), torch.from_numpy(labels), **given)


def agree(x, labels, names, k, **reference):
    """names: theirs -> ours."""
    found = measure(x, labels, names.values(), **reference)
    expected = theirs(x, labels, tuple(names), k, **reference)
    assert list(found.values()) == [pytest.approx(expected[name], abs=1e-6) for name in names]


@pytest.mark.parametrize("classes", [30, 8])
def test_the_metrics_of_the_reality_check(classes):
    x, labels = clustered(classes, 240 // classes, width=32, spread=1.2)
    agree(x, labels, {name: name for name in AT_R}, "max_bin_count")


def test_uneven_classes_lone_queries_and_large_labels():
    x, labels = clustered(20, np.arange(20) % 6 + 1, width=16, spread=1.0)
    agree(x, labels, {name: name for name in AT_R}, "max_bin_count")
    ours = measure(x, labels + 2**24, AT_R)  # there they would be read as float32, and merge
    assert ours == measure(x, labels, AT_R)
    assert theirs(x, labels + 2**24, AT_R, "max_bin_count")["r_precision"] != pytest.approx(ours["r_precision"])


def test_a_gallery_without_some_of_the_classes():
    x, labels = clustered(40, 6, width=16, spread=1.0)
    queries = np.arange(len(x)) % 3 == 0
    gallery = ~queries & (labels < 20)
    reference = {"reference": x[gallery], "reference_labels": labels[gallery]}
    agree(x[queries], labels[queries], {name: name for name in AT_R}, "max_bin_count", **reference)


def test_average_precision_within_k():
    """Divided there by R, here by what k can hold of them, so that perfect retrieval gives 1."""
    x, labels = clustered(12, 8, width=16, spread=1.2)
    agree(x, labels, {"mean_average_precision": "map_at_12"}, 12)
    within_3 = measure(x, labels, ["map_at_3"])["map_at_3"]
    assert within_3 * 3 / 7 == pytest.approx(
        theirs(x, labels, ("mean_average_precision",), 3)["mean_average_precision"]
    )


def test_average_precision_and_reciprocal_rank_over_all_items():
    x, labels = clustered(12, 8, width=16, spread=1.2)
    agree(x, labels, {"mean_average_precision": "map", "mean_reciprocal_rank": "mrr"}, None)


@pytest.mark.parametrize(
    "x",
    [
        np.repeat(clustered(10, 6)[0][:30], 2, axis=0),
        np.round(clustered(10, 6)[0] * 2),
        np.zeros((60, 16), dtype=np.float32),
    ],
    ids=["duplicates", "quantised", "all zero"],
)
def test_ties_there_fall_within_our_bracket(x):
    labels = np.random.default_rng(0).integers(0, 8, len(x))
    expected = theirs(x, labels, AT_R, "max_bin_count")
    low, high = (list(measure(x, labels, AT_R, ties=ties).values()) for ties in ("pessimistic", "optimistic"))
    middle = list(measure(x, labels, AT_R, ties="expected").values())
    for name, *bracket in zip(AT_R, low, high, middle, strict=True):
        assert bracket[0] - 1e-6 <= expected[name] <= bracket[1] + 1e-6
        assert bracket[0] <= bracket[2] <= bracket[1]
    assert low != middle != high


def test_its_clustering_is_one_run_with_its_seed():
    x, labels = clustered(9, 20, width=16, spread=1.4)
    found = measure(x, labels, ["nmi", "ami"], seed=1234, kmeans=KMeans(runs=1))
    expected = theirs(x, labels, ("NMI", "AMI"), "max_bin_count")
    assert found == {"nmi": pytest.approx(expected["NMI"], abs=1e-10), "ami": pytest.approx(expected["AMI"], abs=1e-10)}
