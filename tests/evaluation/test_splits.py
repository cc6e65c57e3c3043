"""How the parts of a fold are looked up: draws that are averaged, and references that are left out."""

import numpy as np
import pytest
import torch
import yaml

from powerbench.evaluation.names import canonical_metric
from powerbench.evaluation.splits import Split, measure_split, split_of
from split_managers import DatasetIndex, Fold, TestSet
from tests.data.making import config_of


def index_of(labels, cameras):
    columns = np.stack([labels, cameras], axis=1)
    names = tuple(tuple(str(k) for k in range(int(column.max()) + 1)) for column in columns.T)
    return DatasetIndex(columns, names, tuple(map(str, range(len(labels)))))


def random_world(seed, count=40):
    generator = np.random.default_rng(seed)
    index = index_of(generator.integers(0, 6, count), generator.integers(0, 3, count))
    return index, generator.normal(size=(count, 3)), generator.permutation(count)


def measured(index, split, points):
    config = config_of(
        evaluation_metrics=["map_at_r", "precision_at_1", "recall_at_2"],
        tester={"GlobalEmbeddingSpaceTester": {"normalize_embeddings": False}},
    )
    return measure_split(config, index, split, torch.tensor(points[split.items]), pca=None)


def naive_precision_at_1(index, points, query, reference, *, apart):
    hits = []
    for q in query:
        kept = [r for r in reference if r != q and not (apart and (index.labels[r] == index.labels[q]).all())]
        if any(index.labels[r, 0] == index.labels[q, 0] for r in kept):
            closest = min(kept, key=lambda r: np.linalg.norm(points[r] - points[q]))
            hits.append(index.labels[closest, 0] == index.labels[q, 0])
    return np.mean(hits)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("against_gallery", [True, False])
def test_references_of_the_same_class_and_camera_are_left_out(seed, against_gallery):
    index, points, order = random_world(seed)
    query, reference = (order[:15], order[15:]) if against_gallery else (order, None)
    found = measured(index, Split("test", query, reference, apart_level=1), points)
    naive = naive_precision_at_1(index, points, query, order if reference is None else reference, apart=True)
    assert found["precision_at_1"] == pytest.approx(naive)
    plain = measured(index, Split("test", query, reference), points)
    assert plain["precision_at_1"] == pytest.approx(
        naive_precision_at_1(index, points, query, order if reference is None else reference, apart=False)
    )


REVISITING = """
evaluation_metrics: [e_recall@1, e_recall@2, c_recall@1, nmi, f1, c_nmi, mAP_1000, mAP_lim, mAP_c, c_mAP_1000, c_mAP_c,
  c_mAP_lim, dists@intra, dists@inter, dists@intra_over_inter, rho_spectrum@-1, rho_spectrum@1, rho_spectrum@2,
  rho_spectrum@10]
"""


def test_metric_names_of_revisiting_in_a_yaml_list():
    index, points, order = random_world(3)
    config = config_of(**yaml.safe_load(REVISITING), clustering={"runs": 2})
    found = measure_split(config, index, Split("test", order), torch.tensor(points[order]), pca=None)
    names = [canonical_metric(name) for name in yaml.safe_load(REVISITING)["evaluation_metrics"]]
    spread = {name: f"{name}_sd" for name in ("nmi", "f1", "c_nmi")}
    shown = [part for name in names for part in (name, spread.get(name)) if part]
    assert list(found) == ["map_at_r", *shown]
    assert np.isnan(found.pop("rho_spectrum_at_10"))  # of three dimensions
    assert np.isfinite(list(found.values())).all()


def test_the_values_of_draws_are_averaged():
    index, points, order = random_world(3)
    draws = ((order[:10], order[10:30]), (order[20:28], order[:20]))
    found = measured(index, Split("test", order[:30], draws=draws), points)
    each = [measured(index, Split("test", query, reference), points) for query, reference in draws]
    for name, value in found.items():
        assert value == pytest.approx(np.mean([values[name] for values in each]))


def test_what_can_never_be_answered_is_nan():
    index = index_of([0, 0, 1, 1], [0, 0, 1, 1])
    split = Split("test", np.arange(4), apart_level=1)
    with pytest.warns(UserWarning, match="no query has a relevant item"):
        assert all(np.isnan(value) for value in measured(index, split, np.eye(4)).values())


def test_a_test_set_keeps_its_draws_and_levels():
    draws = ((np.array([4]), np.array([5])), (np.array([5]), np.array([4])))
    fold = Fold(
        "f", np.array([0, 1]), np.array([2, 3]), {"test": TestSet(np.array([4, 5]), draws=draws, apart_level=1)}
    )
    split = split_of(fold, "test")
    assert split.items.tolist() == [4, 5]
    assert [[rows.tolist() for rows in pair] for pair in split.rows()] == [[[0], [1]], [[1], [0]]]
    assert split.apart_level == 1
