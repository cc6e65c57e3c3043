"""What powerful-benchmarker logged, read from its databases and CSV files."""

import math

import pytest

from meta_logs.logged import keep_logged, logged_in
from powerbench.errors import UserError
from powerbench.legacy.logged import best_of_fold, read_logged
from powerbench.legacy.tables import read_tables
from tests.legacy.old_folders import TABLE, write_tables, write_yaml

MAP, R1 = "mean_average_precision_at_r_level0", "precision_at_1_level0"


def aggregate(mode, split, rows):
    return {f"{mode}_{TABLE}_{split}": rows}


def row(status, value, **more):
    return {MAP: value, f"SEM_{MAP}": 0.01, "trained_status": status, "timestamp": "2020-08-01 10:00:00", **more}


def values(folder):
    logged = read_logged(folder)
    return {value.key: value.value for value in logged.values}, logged.notes


@pytest.mark.parametrize("kind", [{"with_csv": False}, {"sqlite": False}])
def test_the_newest_row_of_each_kind_of_weights_counts(tmp_path, kind):
    rows = [row("untrained_trunk", 0.1), row("trained", 0.2), row("trained", 0.3, NMI_level0=0.5)]
    tables = {**aggregate("MeanAggregator", "TEST", rows), **aggregate("ConcatenateEmbeddings", "VAL", rows[:2])}
    write_tables(tmp_path / "meta_logs", {**tables, "loss_histories": [{"total_loss": 1.0}]}, **kind)
    found, notes = values(tmp_path)
    assert found == {
        ("test", "separate", "untrained_trunk", "map_at_r"): 0.1,
        ("test", "separate", "trained", "map_at_r"): 0.3,
        ("test", "separate", "trained", "nmi"): 0.5,
        ("val", "concatenated", "untrained_trunk", "map_at_r"): 0.1,
        ("val", "concatenated", "trained", "map_at_r"): 0.2,
    }
    assert not notes


def test_tables_of_early_versions(tmp_path):
    rows = [{R1: 0.4, "is_trained": 0}, {R1: 0.6, "is_trained": 1}]
    tables = {f"{name}_{TABLE}_TEST": rows for name in ("meta_ConcatenateEmbeddings", "meta_SeparateEmbeddings")}
    write_tables(tmp_path / "meta_logs", {**tables, f"meta_{TABLE}_VAL": rows})
    found, _ = values(tmp_path)
    assert {key[:3] for key in found} == {
        (split, mode, weights)
        for split, mode in (("test", "separate"), ("test", "concatenated"), ("val", "concatenated"))
        for weights in ("untrained_trunk", "trained")
    }
    assert found["test", "separate", "trained", "precision_at_1"] == 0.6


def test_without_tables_of_means_the_folds_are_averaged(tmp_path):
    for number, best in enumerate((0.5, 0.7)):
        epochs = ((-1, 0.1), (0, 0.2), (4, best), (6, 0.4))
        rows = [{"epoch": epoch, MAP: value, "best_epoch": 4, "best_accuracy": best} for epoch, value in epochs]
        write_tables(tmp_path / f"Test50_50_Partitions4_{number}", {f"{TABLE}_VAL": rows})
    found, _ = values(tmp_path)
    assert found["val", "separate", "trained", "map_at_r"] == pytest.approx(0.6)
    assert found["val", "separate", "untrained_trunk_and_embedder", "map_at_r"] == pytest.approx(0.2)
    assert best_of_fold(tmp_path / "Test50_50_Partitions4_1", "map_at_r") == (4, 0.7)
    assert best_of_fold(tmp_path / "Test50_50_Partitions4_1", "precision_at_1")[0] is None
    assert math.isnan(best_of_fold(tmp_path / "nowhere", "map_at_r")[1])


def test_a_number_too_large_for_an_epoch_is_none(tmp_path):
    write_tables(tmp_path, {f"{TABLE}_VAL": [{"epoch": epoch, MAP: value} for epoch, value in ((2, 0.3), (1e30, 0.5))]})
    assert best_of_fold(tmp_path, "map_at_r") == (2, 0.3)


def test_of_a_search_the_reproductions_count(tmp_path):
    search = tmp_path / "birds"
    write_yaml(search / "best_parameters.yaml", {"best_sub_experiment_name": "birds1"})
    write_tables(search / "birds1/meta_logs", aggregate("MeanAggregator", "TEST", [row("trained", 0.9)]))
    assert [(value.training, value.value) for value in read_logged(search).values] == [("birds1", 0.9)]
    for name, value in (("birds1_reproduction0", 0.5), ("birds1_reproduction10", 0.6)):
        write_tables(search / name / "meta_logs", aggregate("MeanAggregator", "TEST", [row("trained", value)]))
    logged = read_logged(search)
    assert [(value.training, value.value) for value in logged.values] == [
        ("birds1_reproduction0", 0.5),
        ("birds1_reproduction10", 0.6),
    ]
    assert logged.trainings == 2


def test_a_damaged_database_is_told_and_the_csv_files_are_read(tmp_path):
    write_tables(tmp_path / "meta_logs", aggregate("MeanAggregator", "TEST", [row("trained", 0.2)]))
    database = tmp_path / "meta_logs/saved_csvs/logs.db"
    database.write_bytes(b"no database" * 100)
    found, notes = values(tmp_path)
    assert found == {("test", "separate", "trained", "map_at_r"): 0.2}
    assert f"{database} cannot be read as a database" in notes[0]
    assert "the CSV files were read instead" in notes[0]


def test_what_cannot_be_read_is_told_once_and_the_folds_count(tmp_path):
    write_tables(tmp_path / "meta_logs", {})
    write_tables(tmp_path / "a_0", {f"{TABLE}_VAL": [{"epoch": 2, MAP: 0.3}]})
    (tmp_path / "meta_logs/saved_csvs/logs.db").write_bytes(b"no database" * 100)
    found, notes = values(tmp_path)
    assert found == {("val", "separate", "trained", "map_at_r"): 0.3}
    assert len(notes) == 1


def test_reading_changes_nothing_and_only_plain_tables_are_read(tmp_path):
    import sqlite3

    folder = tmp_path / "saved_csvs"
    write_tables(tmp_path, {f"{TABLE}_TEST": [{MAP: 0.5}]}, with_csv=False)
    connection = sqlite3.connect(folder / "logs.db")
    connection.execute(f"CREATE VIEW MeanAggregator_{TABLE}_TEST AS SELECT * FROM {TABLE}_TEST")
    connection.execute(f'CREATE TABLE "x; DROP TABLE y_{TABLE}_TEST" (a)')
    connection.commit()
    connection.close()
    before = [(path, path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()]
    assert read_tables(folder, []) == {f"{TABLE}_TEST": [{"id": 1.0, MAP: 0.5}]}
    assert [(path, path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()] == before


def test_what_was_logged_is_kept_and_read_again(tmp_path):
    write_tables(tmp_path / "meta_logs", aggregate("MeanAggregator", "TEST", [row("trained", 0.1 + 0.2)]))
    logged = read_logged(tmp_path)
    keep_logged(tmp_path, logged)
    assert logged_in(tmp_path) == logged
    (tmp_path / "logged.json").write_text('{"values": [{"value": []}]}')
    with pytest.raises(UserError, match=r"logged\.json: this is not what powerbench wrote"):
        logged_in(tmp_path)
