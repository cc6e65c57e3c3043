import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import powerbench
from powerbench.errors import UserError
from powerbench.evaluation import measure
from tests.reference.brute_force_retrieval import brute_force

METRICS = ["map_at_r", "r_precision", "precision_at_1", "recall_at_1", "recall_at_3", "recall_at_10"]
ALL = [*METRICS, "map", "map_at_2", "map_at_10", "mrr", "marp", "map_c", "map_1000", "map_lim", "class_recall_at_2"]


def clustered(classes, per_class, width=16, spread=1.0, seed=0, normalise=True):
    """Embeddings around random class centres, shuffled; ``per_class`` may be one number a class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(classes), per_class))
    x = rng.normal(size=(classes, width))[labels] + spread * rng.normal(size=(len(labels), width))
    return (x / np.linalg.norm(x, axis=1, keepdims=True) if normalise else x).astype(np.float32), labels


def agrees(embeddings, labels, ties="pessimistic", metrics=ALL, **reference):
    found = measure(embeddings, labels, metrics, ties=ties, **reference)
    assert found == pytest.approx(brute_force(embeddings, labels, metrics, ties=ties, **reference), abs=1e-12)
    return found


@pytest.mark.parametrize("ties", ["pessimistic", "optimistic"])
@pytest.mark.parametrize("spread", [0.3, 1.0, 5.0])
def test_agrees_with_brute_force(spread, ties):
    agrees(*clustered(12, 8, spread=spread), ties=ties)


@pytest.mark.parametrize("ties", ["pessimistic", "optimistic"])
@pytest.mark.parametrize(
    ("embeddings", "labels"),
    [
        clustered(20, np.arange(20) % 5 + 1),  # singletons among them
        clustered(1, 30),
        clustered(2, [1, 30]),
        clustered(10, 6, normalise=False),
        (clustered(10, 6)[0] + 30, clustered(10, 6)[1]),
        (np.round(clustered(10, 6)[0] * 2), clustered(10, 6)[1]),
        (np.sign(clustered(10, 6)[0]) / np.float32(4), clustered(10, 6)[1]),
        (np.sign(clustered(10, 6, width=7)[0]) / np.sqrt(7), clustered(10, 6)[1]),
        (np.repeat(clustered(10, 3)[0], 2, axis=0), np.random.default_rng(0).integers(0, 6, 60)),
        (np.zeros((40, 8)), np.arange(40) % 7),
        (np.concatenate([clustered(6, 6)[0], np.full((1, 16), 1e6)]), np.append(clustered(6, 6)[1], 2)),
    ],
    ids=[
        "uneven",
        "one class",
        "one class and a lone item",
        "unnormalised",
        "offset",
        "quantised",
        "signs",
        "signs with rounding",
        "duplicates",
        "all zero",
        "outlier",
    ],
)
def test_agrees_with_brute_force_in_hard_cases(embeddings, labels, ties):
    agrees(embeddings, labels, ties=ties)
    agrees(embeddings, labels, ties=ties, distance="cosine")
    agrees(embeddings, labels, ties=ties, metrics=["map_at_r"])
    agrees(embeddings, labels, ties=ties, metrics=["recall_at_4", "map_at_3"])


@settings(max_examples=100, deadline=None)
@given(
    labels=st.lists(st.integers(0, 2), min_size=2, max_size=6),
    values=st.lists(st.integers(-1, 1), min_size=12, max_size=12),
    ties=st.sampled_from(["pessimistic", "optimistic", "expected"]),
    metric=st.sampled_from(ALL),
)
@pytest.mark.filterwarnings("ignore:no query")
def test_ties_are_resolved_as_their_definition_says(labels, values, ties, metric):
    embeddings = np.array(values, dtype=np.float32).reshape(6, 2)[: len(labels)]
    found = measure(embeddings, np.array(labels), ALL, ties=ties)
    expected = brute_force(embeddings, np.array(labels), ALL, ties=ties)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
    # a metric asked for alone looks no farther than it must
    alone = measure(embeddings, np.array(labels), [metric], ties=ties)[metric]
    assert alone == pytest.approx(found[metric], abs=1e-15, nan_ok=True)


def test_query_and_gallery_with_classes_missing_on_either_side():
    x, labels = clustered(14, 9, spread=1.5)
    queries = np.arange(len(x)) % 3 == 0
    queries &= labels != 2
    gallery = ~queries & (labels != 5) & (labels != 6)
    agrees(x[queries], labels[queries], reference=x[gallery], reference_labels=labels[gallery])
    agrees(np.sign(x[queries]), labels[queries], reference=np.sign(x[gallery]), reference_labels=labels[gallery])


def test_a_reference_that_holds_the_queries_counts_them():
    x, labels = clustered(5, 4, spread=3.0)
    assert measure(x, labels, ["precision_at_1"], reference=x, reference_labels=labels) == {"precision_at_1": 1.0}
    assert measure(x, labels, ["precision_at_1"])["precision_at_1"] < 1


def test_hand_computed():
    """On a line, classes a a b a b: distances 1, 2.1, 1.9, 6 between neighbours."""
    x = np.array([[0.0], [1.0], [3.1], [5.0], [11.0]])
    labels = ["a", "a", "b", "a", "b"]
    found = measure(x, labels, ["map_at_r", "r_precision", "precision_at_1", "recall_at_2"])
    # order of the others for each query: 0: a b a b; 1: a b a b; 2: a a a b; 3: b a b a; 4: a b a a
    assert found["precision_at_1"] == pytest.approx(2 / 5)
    assert found["r_precision"] == pytest.approx((1 / 2 + 1 / 2 + 0 + 1 / 2 + 0) / 5)
    assert found["map_at_r"] == pytest.approx((1 / 2 + 1 / 2 + 0 + (1 / 2) / 2 + 0) / 5)
    assert found["recall_at_2"] == pytest.approx(4 / 5)


def test_map_at_r_of_perfect_and_of_opposite_embeddings():
    labels = np.repeat([0, 1], 4)
    assert measure(labels[:, None] * 1.0, labels, METRICS) == dict.fromkeys(METRICS, 1.0)
    x = np.array([0, 10, 20, 30, 1, 11, 21, 31.0])[:, None]
    assert measure(x, labels, ["precision_at_1", "map_at_r"])["precision_at_1"] == 0


def test_the_order_of_the_items_does_not_matter():
    x, labels = clustered(15, 6, spread=2.0)
    order = np.random.default_rng(1).permutation(len(x))
    assert measure(x[order], labels[order], METRICS) == pytest.approx(measure(x, labels, METRICS), abs=1e-14)


def test_collapsed_embeddings_gain_nothing():
    labels = np.repeat(np.arange(10), 5)
    x = np.ones((50, 8), dtype=np.float32)
    assert set(measure(x, labels, METRICS).values()) == {0.0}
    assert set(measure(x, labels, METRICS, ties="optimistic").values()) == {1.0}
    expected = measure(x, labels, METRICS, ties="expected")
    assert expected["precision_at_1"] == pytest.approx(4 / 49)
    assert expected["r_precision"] == pytest.approx(4 / 49)
    assert expected["recall_at_3"] == pytest.approx(1 - (45 * 44 * 43) / (49 * 48 * 47))


def test_expected_ties_leave_values_without_ties_alone():
    x, labels = clustered(10, 5, spread=1.5)
    assert measure(x, labels, METRICS, ties="expected") == measure(x, labels, METRICS)


def test_lone_queries_are_left_out():
    x, labels = clustered(6, 5, spread=1.5)
    lone = np.random.default_rng(3).normal(size=(1, 16)) * 100
    with_lone = measure(np.concatenate([x, lone]), np.append(labels, 99), METRICS)
    assert with_lone == pytest.approx(measure(x, labels, METRICS))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_without_an_answerable_query_all_is_nan(count):
    with pytest.warns(UserWarning, match="no query has a relevant item"):
        found = measure(np.ones((count, 3)), np.arange(count), ["map_at_r", "recall_at_2"])
    assert list(found) == ["map_at_r", "recall_at_2"]
    assert np.isnan(list(found.values())).all()


def test_an_empty_gallery_answers_nothing():
    with pytest.warns(UserWarning, match="no query"):
        found = measure(np.ones((2, 3)), [0, 1], ["map_at_r"], reference=np.ones((0, 3)), reference_labels=[])
    assert np.isnan(found["map_at_r"])


def test_tensors_arrays_and_any_labels_give_the_same():
    x, labels = clustered(9, 5, spread=1.5)
    expected = measure(x, labels, METRICS)
    tensor = torch.from_numpy(x).requires_grad_()
    assert measure(tensor, torch.from_numpy(labels), METRICS) == expected
    assert measure(x.astype(np.float64), labels * 2**40 - 2**60, METRICS) == expected
    assert measure(x, labels + 2**24, METRICS) == expected
    assert measure(x, [f"class {k}" for k in labels], METRICS) == expected
    assert measure(np.asfortranarray(x), labels.astype(np.uint8), METRICS) == expected
    half = torch.from_numpy(x).to(torch.bfloat16)
    assert measure(half, labels, METRICS) == measure(half.float(), labels, METRICS)


@settings(max_examples=50, deadline=None)
@given(
    names=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4, unique=True)
    | st.lists(st.text(st.characters(exclude_characters="\0")), min_size=4, max_size=4, unique=True)
)
def test_only_the_sameness_of_labels_matters(names):
    x, labels = clustered(4, 5, spread=2.0)
    expected = measure(x, labels, METRICS)
    assert measure(x, [names[k] for k in labels], METRICS) == pytest.approx(expected, abs=1e-14)
    rest = {"reference": x[::2], "reference_labels": [names[k] for k in labels[::2]]}
    found = measure(x[1::2], [names[k] for k in labels[1::2]], METRICS, **rest)
    rest["reference_labels"] = labels[::2]
    assert found == pytest.approx(measure(x[1::2], labels[1::2], METRICS, **rest), abs=1e-14)


@pytest.mark.parametrize(
    ("some", "others"),
    [("uint8", "int64"), ("uint64", "int64"), (object, "int64"), (str, object), (object, str), ("U5", "U30")],
)
def test_queries_and_reference_may_hold_labels_in_different_forms(some, others):
    x, labels = clustered(9, 5, spread=1.5)
    expected = measure(x, labels, METRICS, reference=x[::2], reference_labels=labels[::2])
    large = labels + (2**62 if some == "uint64" else 0)  # where float64 would take neighbours for the same
    texts = large.astype(str) if str in (some, others) else large
    rest = {"reference": x[::2], "reference_labels": texts[::2].astype(others)}
    assert measure(x, texts.astype(some), METRICS, **rest) == pytest.approx(expected, abs=1e-14)


def test_nearly_equal_scores_are_told_apart():
    """In float32 the two distances to the query are equal; in float64 the relevant item is closer."""
    x = np.array([[0.0, 0.0], [1.0, 1e-5], [1.0, 2e-5]])
    assert np.float32(1 + 1e-10) == np.float32(1 + 4e-10)
    assert measure(x, [0, 0, 1], ["precision_at_1"])["precision_at_1"] == pytest.approx(0.5)
    assert measure(x[[0, 2, 1]], [0, 0, 1], ["precision_at_1"])["precision_at_1"] == 0


def test_metrics_are_named_canonically_and_once():
    x, labels = clustered(5, 4)
    found = measure(x, labels, ["mean_average_precision_at_r", "map_at_r", "e_recall@2"])
    assert list(found) == ["map_at_r", "recall_at_2"]
    assert measure(x, labels, []) == {}
    with pytest.raises(UserError, match="Did you mean map_at_r"):
        measure(x, labels, ["map_at_rr"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embeddings": np.array([[1.0, np.nan], [0, 0]])}, "embeddings hold NaN or infinite"),
        ({"embeddings": np.array([[1.0, np.inf], [0, 0]])}, "NaN or infinite"),
        ({"embeddings": np.ones(2)}, "items x dimensions"),
        ({"labels": [0]}, "labels must be one for each of 2 items"),
        ({"labels": [0.5, 1.5]}, "whole numbers or texts, not float64"),
        ({"labels": [None, None]}, "labels must be whole numbers or texts, not NoneType"),
        ({"labels": np.array([1, "a"], dtype=object)}, "whole numbers or texts, not int and str"),
        ({"embeddings": np.eye(2) * 1j}, "embeddings must be real numbers, not complex128"),
        ({"embeddings": torch.eye(2) * 1j}, "embeddings must be real numbers, not complex64"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"metrics": ["nmi"], "clusters": 0}, "2 items cannot be put into 0 clusters"),
        ({"metrics": ["nmi"], "seed": 2**40}, "seed must be at most 2147483642 from 0, not 1099511627776"),
        ({"ties": "random"}, "pessimistic, optimistic or expected"),
        ({"reference": np.ones((2, 2))}, "go together"),
        ({"reference_labels": [0, 1]}, "go together"),
        ({"apart": [0, 1], "reference": np.eye(2), "reference_labels": [0, 1]}, "reference_apart is needed"),
        ({"reference_apart": [0, 1]}, "reference_apart is needed"),
        ({"apart": [0, 0.5]}, "apart must be whole numbers or texts"),
        ({"reference": np.ones((2, 3)), "reference_labels": [0, 1]}, "2 dimensions, the reference has 3"),
        (
            {"reference": np.ones((2, 2)), "reference_labels": ["a", "b"]},
            "labels are whole numbers but reference_labels are texts",
        ),
        ({"reference": np.full((2, 2), np.nan), "reference_labels": [0, 1]}, "reference hold NaN"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, message):
    given = {"embeddings": np.eye(2), "labels": [0, 0], "metrics": ["map_at_r"], **arguments}
    with pytest.raises(ValueError, match=message):
        measure(**given)


def test_nothing_else_in_the_program_measures():
    """Neighbours, k-means and scores of other libraries are used by the engine only."""
    others = re.compile(r"^\s*(import|from) (faiss|sklearn|pytorch_metric_learning\.utils\.(accuracy|inference))", re.M)
    root = Path(powerbench.__file__).parents[1]
    files = [
        file for package in ("powerbench", "meta_logs", "split_managers") for file in (root / package).rglob("*.py")
    ]
    found = {file.relative_to(root).as_posix() for file in files if others.search(file.read_text(encoding="utf-8"))}
    assert found == {"powerbench/evaluation/clustering.py", "powerbench/evaluation/ranking/faiss_lists.py"}


def test_measuring_imports_no_torch():
    code = "import sys; from powerbench.evaluation import measure; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
