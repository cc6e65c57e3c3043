"""Papers' numbers beside ours."""

import csv
import io

import pytest
from synthetic_experiments import PROTOCOL, make_experiment

from meta_logs.papers import dataset_of, loss_of, papers_figure, papers_table, reported, write_papers
from meta_logs.report import write_report
from meta_logs.results import results_of
from meta_logs.suite import write_suite


def with_loss(store, name, loss, reproductions=2, **settings):
    make_experiment(store, name, trials=1, folds=2, reproductions=reproductions, **settings)
    config = {"config_loss_and_miners": {"loss_funcs": {"metric_loss~OVERRIDE~": {loss: {"margin": 0.1}}}}}
    store.update_experiment(name, config=config, config_hash="d")
    return store.experiment(name)


def test_the_shipped_numbers_are_those_collected():
    assert {name: len(reported(name)) for name in ("CUB200", "Cars196", "StanfordOnlineProducts")} == {
        "CUB200": 21, "Cars196": 19, "StanfordOnlineProducts": 20,
    }  # fmt: skip
    found = {(one.loss, one.venue, one.paper): one.percent for one in reported("Cars196")}
    npair = "Improved Deep Metric Learning with Multi-class N-pair Loss Objective"
    assert found["triplet", "NIPS 2016", npair] == 53.84
    assert reported("InShop") == []


@pytest.mark.parametrize(
    ("loss_funcs", "expected"),
    [
        ({"metric_loss": {"ContrastiveLoss": {"neg_margin~BAYESIAN~": [0, 1]}}}, "contrastive"),
        ({"metric_loss~OVERRIDE~": "TripletMarginLoss"}, "triplet"),
        ({"metric_loss": {"ArcFaceLoss": {}}}, None),
        ({"metric_loss": {"ContrastiveLoss": {}}, "other": {"TripletMarginLoss": {}}}, None),
        ({}, None),
    ],
)
def test_the_loss_is_told_by_its_class(store, loss_funcs, expected):
    row = store.create_experiment(
        "e", {"config_loss_and_miners": {"loss_funcs": loss_funcs}}, "c", {}, "f", 0, {}, "/e"
    )
    assert loss_of(row) == expected
    assert dataset_of(row) is None


def test_measured_numbers_of_the_same_protocol_stand_beside_the_papers(store, tmp_path):
    mine = with_loss(store, "mine", "ContrastiveLoss")
    with_loss(store, "theirs", "TripletMarginLoss", seed=1)
    with_loss(store, "elsewhere", "TripletMarginLoss", fingerprint="other", protocol={**PROTOCOL, "patience": 3})
    write_report(store, "mine", tmp_path)
    assert mine.protocol_fingerprint == store.experiment("theirs").protocol_fingerprint
    assert "What papers reported beside" in (tmp_path / "report.html").read_text()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "papers.csv").read_text())))
    ours = [row for row in rows if row["Paper"].startswith("measured here")]
    assert {(row["Loss"], row["Paper"]) for row in ours} == {
        (loss, f"measured here: {name}, {label}")
        for loss, name in (("contrastive", "mine"), ("triplet", "theirs"))
        for label in ("untrained trunk", "separate", "concatenated")
    }
    summary = results_of(store, "mine").summary("test", "separate", "precision_at_1")
    row = next(row for row in ours if row["Paper"] == "measured here: mine, separate")
    assert float(row["R@1"]) == summary.mean
    assert len(rows) - len(ours) == 21
    assert (tmp_path / "papers.png").read_bytes().startswith(b"\x89PNG")


def test_papers_are_shown_without_any_measured_result():
    table = papers_table("StanfordOnlineProducts", {})
    assert len(table.rows) == 20
    assert table.notes[-1] == "Nothing is measured here yet."
    assert papers_figure("StanfordOnlineProducts", {}).startswith(b"\x89PNG")


def test_reports_and_suites_on_other_data_or_losses_have_none(store, tmp_path):
    with_loss(store, "arc", "ArcFaceLoss", reproductions=0)
    with_loss(store, "emoji", "ContrastiveLoss", reproductions=0, protocol={**PROTOCOL, "dataset": {"Emoji200": {}}})
    for name in ("arc", "emoji"):
        assert write_papers(store, store.experiment(name), tmp_path / name) is None
        assert not (tmp_path / name).exists()
    with_loss(store, "contrastive", "ContrastiveLoss")
    write_suite(store, {"arcface": "arc", "contrastive": "contrastive"}, tmp_path / "suite", title="t")
    assert (tmp_path / "suite" / "papers.png").exists()
