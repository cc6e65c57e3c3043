"""Scores against scikit-learn and hand-computed values; k-means is faiss's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

from powerbench.evaluation import measure
from powerbench.evaluation.clustering import KMeans, announce, cluster, scores
from tests.evaluation.test_measure import clustered


@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=40))
def test_scores_are_those_of_scikit_learn_and_of_all_pairs(pairs):
    classes, clusters = np.array(pairs).T
    found = scores(classes, clusters)
    assert found["f1"] == pytest.approx(pairwise_f1(classes, clusters), abs=1e-10, nan_ok=True)
    assert found["nmi"] == pytest.approx(normalized_mutual_info_score(classes, clusters), abs=1e-10)
    assert found["ami"] == pytest.approx(adjusted_mutual_info_score(classes, clusters), abs=1e-10)


def test_ami_of_many_clusters():
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(300), rng.integers(2, 12, 300))
    clusters = np.where(rng.random(len(classes)) < 0.5, classes, rng.integers(0, 300, len(classes)))
    expected = adjusted_mutual_info_score(classes, clusters)
    assert scores(classes, clusters)["ami"] == pytest.approx(expected, abs=1e-10)


def pairwise_f1(classes, clusters):
    pairs = [(i, j) for i in range(len(classes)) for j in range(i)]
    same = [(classes[i] == classes[j], clusters[i] == clusters[j]) for i, j in pairs]
    count = sum(int(a) + int(b) for a, b in same)
    return 2 * sum(a and b for a, b in same) / count if count else np.nan


@pytest.mark.parametrize(
    ("classes", "clusters", "nmi", "f1"),
    [([0, 0, 1, 1], [0, 0, 0, 1], 0.343711, 0.4), ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 2], 0.439870, 0.4)],
)
def test_published_toys(classes, clusters, nmi, f1):
    found = scores(np.array(classes), np.array(clusters))
    assert found["nmi"] == pytest.approx(nmi, abs=1e-6)
    assert found["f1"] == pytest.approx(f1, abs=1e-12) == pytest.approx(pairwise_f1(classes, clusters))


def test_well_separated_classes_are_found_whatever_the_seed():
    x, labels = clustered(6, 12, spread=0.02)
    found = measure(x, labels, ["nmi", "c_f1", "ami"], kmeans=KMeans(restarts=20, runs=3))
    assert list(found) == ["nmi", "nmi_sd", "c_f1", "c_f1_sd", "ami", "ami_sd"]
    assert found["nmi"] == found["c_f1"] == pytest.approx(1)
    assert found["nmi_sd"] == 0


def test_values_are_means_over_seeds_with_their_spread():
    x, labels = clustered(8, 9, spread=1.2)
    values = []
    for seed in (7, 8, 9):
        alone = measure(x, labels, ["nmi"], seed=seed, kmeans=KMeans(runs=1))
        assert "nmi_sd" not in alone
        values.append(alone["nmi"])
    assert len(set(values)) > 1
    found = measure(x, labels, ["nmi"], seed=7, kmeans=KMeans(runs=3))
    assert found["nmi"] == pytest.approx(np.mean(values), abs=1e-12)
    assert found["nmi_sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)


def test_the_number_of_clusters_is_that_of_the_classes_unless_given():
    x, labels = clustered(8, 9, spread=1.2)
    assert measure(x, labels, ["nmi"]) == measure(x, labels, ["nmi"], clusters=8)
    assert measure(x, labels, ["nmi"]) != measure(x, labels, ["nmi"], clusters=5)
    assert len(set(cluster(x, 5, 0, KMeans(), "euclidean", 1).tolist())) == 5
    with pytest.raises(ValueError, match="72 items cannot be put into 73 clusters"):
        measure(x, labels, ["nmi"], clusters=73)


def test_cosine_clusters_look_at_directions_only():
    x, labels = clustered(6, 12, spread=0.3)
    lengths = np.random.default_rng(0).uniform(0.1, 10, size=(len(x), 1)).astype(np.float32)
    assert measure(x * lengths, labels, ["nmi"], distance="cosine") == pytest.approx(
        measure(x, labels, ["nmi"], distance="cosine")
    )


@pytest.mark.parametrize(
    ("exponent", "kind"), [(67, np.float32), (-100, np.float32), (-140, np.float32), (100, float), (-1040, float)]
)
def test_the_scale_of_the_embeddings_does_not_matter(exponent, kind):
    x, labels = clustered(8, 9, spread=1.2)
    x = np.round(x * 64)  # whole numbers keep all their digits, however small the unit
    found = measure(np.ldexp(x.astype(kind), exponent), labels, ["nmi", "ami", "f1"])
    assert found == measure(x, labels, ["nmi", "ami", "f1"])


def test_long_clusterings_are_announced_once(caplog):
    of_sop = (KMeans(), 60_502, 128, 11_316)
    assert KMeans(runs=1).seconds(60_502, 128, 11_316) == pytest.approx(41.2, rel=0.2)  # as measured
    announce.cache_clear()
    for arguments in (of_sop, of_sop, (KMeans(), 5_924, 128, 100)):
        announce(*arguments)
    assert len(caplog.records) == 1
    assert "60,502 items into 11,316 clusters, 5 x 1 x 20 iterations: about 4 minutes" in caplog.text


def test_nothing_to_cluster():
    assert np.isnan(measure(np.empty((0, 3)), [], ["nmi"])["nmi"])
