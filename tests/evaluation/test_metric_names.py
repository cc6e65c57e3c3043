import subprocess
import sys

import pytest

import powerbench.evaluation
from powerbench.errors import UserError
from powerbench.evaluation.names import canonical_metric, metric_names, recall_k


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("map_at_r", "map_at_r"),
        ("MAP@R", "map_at_r"),
        ("mean_average_precision_at_r", "map_at_r"),
        ("mean_average_precision_at_r_level0", "map_at_r"),
        ("r_precision_level0", "r_precision"),
        ("RP", "r_precision"),
        ("P@1", "precision_at_1"),
        ("precision_at_1", "precision_at_1"),
        ("e_recall@1", "recall_at_1"),
        ("Recall@100", "recall_at_100"),
        ("R@10", "recall_at_10"),
        ("recall_at_17", "recall_at_17"),
        ("mAP_c", "map_c"),
        ("mAP_1000", "map_1000"),
        ("mAP@1000", "map_at_1000"),
        ("mAP_lim", "map_lim"),
        ("mARP", "marp"),
        ("mean_average_precision", "map"),
        ("mean_reciprocal_rank", "mrr"),
        ("c_recall@1", "c_recall_at_1"),
        ("c_mAP_c", "c_map_c"),
        ("c_mAP_1000", "c_map_1000"),
        ("c_nmi", "c_nmi"),
        ("NMI", "nmi"),
        ("dists@intra", "dists_intra"),
        ("dists@intra_over_inter", "dists_intra_over_inter"),
        ("rho_spectrum@-1", "rho_spectrum_at_-1"),
        ("rho_spectrum@10", "rho_spectrum_at_10"),
    ],
)
def test_aliases_have_one_canonical_name(given, canonical):
    assert canonical_metric(given) == canonical


def test_canonical_names_stand_for_themselves():
    assert [canonical_metric(name) for name in metric_names()] == metric_names()
    assert {"map_at_r", "precision_at_1", "r_precision", "recall_at_10"} <= set(metric_names())


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("map_at_rr", "map_at_r"), ("precision_at_2", "precision_at_1"), ("recal_at_10", "recall_at_10")],
)
def test_unknown_names_are_refused_with_the_nearest(wrong, near):
    with pytest.raises(UserError) as caught:
        canonical_metric(wrong)
    assert near in caught.value.near


@pytest.mark.parametrize(
    "wrong",
    [
        "recall_at_0",
        "recall_at_-1",
        "recall_at_1.5",
        "recall_at_",
        "",
        "zzz",
        "c_rho_spectrum@1",
        "c_uniformity",
        "recall_at_1" + 20 * "0",
    ],
)
def test_recall_needs_a_whole_k(wrong):
    with pytest.raises(UserError, match="no metric named"):
        canonical_metric(wrong)


def test_the_whole_spectrum_is_no_number():
    with pytest.raises(UserError, match="rho_spectrum@0 is the whole spectrum and no number") as caught:
        canonical_metric("rho_spectrum@0")
    assert caught.value.near


def test_recall_k():
    assert recall_k("recall_at_100") == 100
    assert recall_k("map_at_r") is None


def test_names_import_neither_torch_nor_numpy():
    code = "import sys, powerbench.evaluation.names; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_has_no_other_attributes():
    with pytest.raises(AttributeError, match="no attribute 'mesure'"):
        _ = powerbench.evaluation.mesure
