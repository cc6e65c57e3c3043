"""Published and documented ways to choose data and splits: each is accepted without the data being there."""

import shlex

import pytest

from powerbench.cli import main

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
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, monkeypatch, capsys, form, message):
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "--experiment_name", "x", *shlex.split(form)]) == 2
    assert message in capsys.readouterr().err
