"""Published and documented ways to choose data and splits: each is accepted without the data being there."""

import re
import shlex
from pathlib import Path

import pytest

from powerbench.cli import main

DOCUMENT = (Path(__file__).parents[2] / "docs/datasets.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ")[-3:] for line in DOCUMENT.partition("## Published commands")[2].splitlines() if "`" in line]
PUBLISHED = [form for row in ROWS if row[0].startswith("|") for form in re.findall("`([^`]+)`", row[-1])]
FORMS = [
    "--dataset~OVERRIDE~ {CUB200: {download: True}}",
    "--config_dataset [default, with_cars196] --config_general [default, with_cars196]",
    "--config_dataset [default, with_sop] --config_general [default, with_sop]",
    "--dataset~OVERRIDE~ {Cars196: {download: True, sources: [{url: https://example.org/cars.tgz, sha256: ab}]}}",
    "--split_manager~SWAP~1 {MLRCSplitManager: {}}",
    "--split_manager~SWAP~1 {IndexSplitManager: {}}",
    "--split_manager~SWAP~1 {ClosedSetSplitManager: {}}",
    "--split_manager~OVERRIDE~ {PredefinedSplitManager: {}}",
    "--split_manager~OVERRIDE~ {PredefinedSplitManager: {files: {train: a.txt, test: b.txt}, use_tv_split: True}}",
    "--split_manager~APPLY~2 {helper_split_manager: {PredefinedSplitManager: {}}}",
    "--config_dataset [default, with_tv_split] --split_manager~APPLY~2 {tv_split_perc: 0.85, tv_split_by_samples: True}",
    "--config_dataset [default, with_in_shop] --dataset~OVERRIDE~ {InShop: {high_resolution: True}}",
    "--config_dataset [default, with_vehicle_id] --dataset~APPLY~2 {test_list: medium}",
    "--config_dataset [default, with_vehicle_id_reid] --dataset~APPLY~2 {test_list: large}",
    "--config_dataset [default, with_market1501]",
    "--config_dataset [default, with_ood_cub200] --split_manager~APPLY~2 {data_hardness: 9}",
    "--config_dataset [default, with_ood_cars196] --split_manager~APPLY~2 {data_hardness: 6, shots: 2}",
    "--config_dataset [default, with_ood_sop] --split_manager~APPLY~2 {tv_split_perc: 0.9}",
    "--dataset~OVERRIDE~ {CSVManifest: {file: images.csv}} --skip_unreadable True",
]


@pytest.fixture(autouse=True)
def untimed(monkeypatch):
    """What is chosen does not depend on how long a trunk takes."""
    monkeypatch.setattr("powerbench.driver.step_timing.estimate", lambda *_: None)


@pytest.mark.parametrize("form", PUBLISHED)
def test_what_other_systems_call_otherwise_is_accepted_without_data(tmp_path, monkeypatch, capsys, form):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(form)
    if words[0] == "progression":  # nothing but the data is missing
        assert main(words) == 2
        assert re.search(r"(CUB200|StanfordOnlineProducts) is missing: put", capsys.readouterr().err)
    else:
        assert main(["validate", "--experiment_name", "x", *words]) == 0, capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_table_names_every_data_set_split_manager_and_system():
    table = DOCUMENT.partition("## Published commands")[2]
    for system in ("powerful-benchmarker", "Revisiting DML", "Language Guidance", "ooDML", "Divide and Conquer"):
        assert f"{system}" in table
    assert len(PUBLISHED) >= 30
    folder = Path(__file__).parents[2] / "experiment_configs/config_dataset"
    own = {"demo", "default", "csv_manifest", "imagefolder"}
    for path in folder.glob("*.yaml"):
        assert path.stem in own or path.stem in " ".join(PUBLISHED), path.stem


@pytest.mark.parametrize("form", FORMS)
def test_it_is_accepted_without_data(tmp_path, monkeypatch, capsys, form):
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "--experiment_name", "x", *shlex.split(form)]) == 0, capsys.readouterr().err
    output = capsys.readouterr().out
    single = any(word in form for word in ("tv_split: True", "with_tv_split", "with_ood"))
    assert f"on {1 if single else 4} folds of" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("--dataset~OVERRIDE~ {Cars: {}}", "Did you mean Cars196"),
        ("--split_manager~OVERRIDE~ {PredefinedSplitManager: {test_protocol: reid}}", "all or one_reference_per_class"),
        ("--split_manager~APPLY~2 {helper_split_manager: {PredefinedSplitManager: {file: a}}}", "Did you mean files"),
        (
            "--config_dataset [default, with_ood_sop] --split_manager~APPLY~2 {hardness: 2}",
            "Did you mean data_hardness",
        ),
        ("--config_dataset [default, with_tv_split] --split_manager~APPLY~2 {use_tv_split: False}", "must be True"),
        ("--dataset~OVERRIDE~ {OtherTestSet: {train_dataset: {CUB200: {rot: a}}, test_dataset: Cars196}}", "mean root"),
        ("--dataset~OVERRIDE~ {OtherTestSet: {train_dataset: CUB200, test_dataset: Cars19}}", "Did you mean Cars196"),
        ("--dataset~OVERRIDE~ {OtherTestSet: {train_dataset: CUB200}}", "OtherTestSet needs test_dataset"),
        ("--config_dataset [default, with_share_of_classes] --split_manager~APPLY~2 {ratio_classes: 0}", "above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, monkeypatch, capsys, form, message):
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "--experiment_name", "x", *shlex.split(form)]) == 2
    assert message in capsys.readouterr().err
