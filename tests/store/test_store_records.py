"""A record keeps every row and every bit, and a record from anyone is checked before it is believed."""

import json
import math
import os
import shutil

import pytest
from store_results import evaluation, failed_result, make_experiment, train_result, trained

from powerbench.errors import PowerbenchError, UserError
from powerbench.store import record as record_module
from powerbench.store.record import read_record, store_of_record
from powerbench.store.record_checks import is_plain_name
from powerbench.store.store import Store


@pytest.fixture
def recorded(store, experiment, tmp_path):
    """The folder of an experiment with all kinds of rows, and its record."""
    return fill(store, experiment, tmp_path)


@pytest.fixture(scope="module")
def sent_text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sender")
    with Store.in_memory() as store:
        return (fill(store, make_experiment(store, folder), folder) / "record.json").read_text()


@pytest.fixture
def sent(sent_text, tmp_path):
    """A folder that holds such a record and nothing else."""
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "record.json").write_text(sent_text)
    return tmp_path / "sent"


def fill(store, experiment, tmp_path):
    other = make_experiment(store, tmp_path, "other")
    trained(store, other, "search", 0, 0.25)
    best = trained(store, experiment, "search", 0, 0.1 + 0.2, {"loss/margin": 1e-300, "name": "ü|$\n"})
    store.record_evaluation(best.id, evaluation([1 / 3, math.inf], environment={"gpu": "H100"}))
    for number in range(2):
        trial = trained(store, experiment, "reproduction", number, 0.3, best.parameters)
        store.record_evaluation(trial.id, evaluation([0.1 * number, math.nan]))
    failed = store.add_trial(experiment.id, "search", 1, {"loss/margin": 5e-324, "name": ""}, {"strategy": "ax"})
    store.add_run(failed.id, 0, 2**63 - 1, "search_1/fold_0")
    store.finish_run(failed.id, 0, failed_result())
    store.fail_trial(failed.id, "nan", "the loss is NaN")
    store.refresh_summaries(experiment.id)
    folder = tmp_path / "root" / "first"
    assert store.write_record("first", folder) == folder / "record.json"
    return folder


def everything(store, name):
    """All rows of an experiment without ids, floats as their bits."""
    experiment = store.experiment(name)
    trials = store.trials(experiment.id)
    runs = [run for trial in trials for run in store.runs(trial.id)]
    environments = {row.id: row.content for row in store.environments(experiment.id)}
    rows = [*trials, *runs, *store.summaries(experiment.id)]
    rows += [row for run in runs for row in (*store.measurements(run.id), *store.losses(run.id))]
    rows += [row for trial in trials for row in store.evaluations(trial.id)]
    found = [plain(row) for row in rows]
    found.append([environments.get(run.environment_id) for run in runs])
    return plain(experiment, "folder"), found


def plain(row, *without):
    ids = ("id", "experiment_id", "trial_id", "run_id", "environment_id", *without)
    return {
        name: value.hex() if isinstance(value, float) else value for name, value in vars(row).items() if name not in ids
    }


def test_a_record_read_into_an_empty_store_is_the_experiment_to_the_last_bit(store, recorded, tmp_path):
    with store_of_record(recorded / "record.json") as (copy, name):
        assert name == "first"
        assert everything(copy, "first") == everything(store, "first")
        assert [row.name for row in copy.experiments()] == ["first"]
        copy.write_record("first", tmp_path / "again")
        with store_of_record(tmp_path / "again") as (second, _):
            assert everything(second, "first") == everything(store, "first")


def test_a_copied_folder_says_where_it_is_now(sent, tmp_path):
    shutil.copytree(sent, tmp_path / "renamed")
    with store_of_record(tmp_path / "renamed") as (store, name):
        assert store.experiment(name).folder == str(tmp_path / "renamed")


def test_records_join_a_store_that_has_other_experiments(sent, tmp_path):
    with Store.open(tmp_path / "mine.sqlite") as mine:
        trained(mine, make_experiment(mine, tmp_path, "mine"), "search", 0, 0.9)
        imported = mine.import_record(read_record(sent))
        assert imported.name == "first"
        assert len(mine.trials(imported.id)) == 4
        with pytest.raises(UserError, match="named 'first' already"):
            mine.import_record(read_record(sent))


def test_the_record_is_one_line_a_row_and_holds_no_other_experiment(sent):
    lines = (sent / "record.json").read_text().splitlines()
    content = json.loads("\n".join(lines))
    rows = sum(len(table["rows"]) for table in content["tables"].values())
    assert len(lines) == rows + 2 + 2 * len(content["tables"])
    assert [row[1] for row in content["tables"]["experiments"]["rows"]] == ["first"]


def test_a_record_is_replaced_whole_or_stays(store, experiment, recorded, monkeypatch):
    before = (recorded / "record.json").read_text()
    store.add_trial(experiment.id, "search", 2, {})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write_record("first", recorded)
    assert (recorded / "record.json").read_text() == before
    assert [path.name for path in recorded.iterdir()] == ["record.json"]
    with pytest.raises(PowerbenchError, match="no experiment named"):
        store.write_record("absent", recorded)


def change(recorded, edit):
    content = json.loads((recorded / "record.json").read_text())
    edit(content)
    (recorded / "record.json").write_text(json.dumps(content))


def cell(table, column, value, row=0):
    def edit(content):
        where = content["tables"][table]
        where["rows"][row][where["columns"].index(column)] = value

    return edit


def drop_column(content):
    content["tables"]["trials"]["columns"].remove("kind")


def drop_column_whole(content):
    trials = content["tables"]["trials"]
    place = trials["columns"].index("kind")
    del trials["columns"][place]
    for row in trials["rows"]:
        del row[place]


BAD = {
    "another format": (lambda c: c.update(format="x"), "not a record of powerbench"),
    "no tables": (lambda c: c.update(tables=[]), "not a record of powerbench"),
    "unknown table": (lambda c: c["tables"].update(leases={}), "unknown tables"),
    "missing table": (lambda c: c["tables"].pop("runs"), "table runs is missing"),
    "unknown column": (lambda c: c["tables"]["runs"]["columns"].__setitem__(0, "x"), "unknown columns"),
    "column twice": (lambda c: c["tables"]["runs"]["columns"].__setitem__(0, "fold"), "unknown columns"),
    "columns no names": (lambda c: c["tables"]["runs"].update(columns=[1]), "are not names"),
    "short row": (lambda c: c["tables"]["runs"]["rows"][0].pop(), "does not have"),
    "row no list": (lambda c: c["tables"]["runs"]["rows"].append("x"), "does not have"),
    "columns that do not fit the rows": (drop_column, "lacks"),
    "required column absent": (drop_column_whole, "lacks"),
    "no experiment": (lambda c: c["tables"]["experiments"].update(rows=[]), "holds one experiment, not 0"),
    "text for a number": (cell("measurements", "value", "0.5"), "value cannot be '0.5'"),
    "bool for an integer": (cell("runs", "fold", True), "fold cannot be"),
    "float for an integer": (cell("runs", "fold", 0.0), "fold cannot be"),
    "huge integer": (cell("runs", "seed", 2**63), "seed cannot be"),
    "huge integer for a number": (cell("runs", "seconds", 10**400), "seconds cannot be"),
    "null for a text": (cell("trials", "started", None), "started cannot be"),
    "number for a text": (cell("trials", "error", 1, row=3), "error cannot be"),
    "long text": (cell("trials", "error", "x" * 100_001), "error cannot be"),
    "half a surrogate": (cell("trials", "error", "\ud800"), "error cannot be"),
    "nul": (cell("trials", "parameters", {"a": ["\0"]}), "parameters cannot be"),
    "path as name": (cell("experiments", "name", "../../etc"), "not a name of an experiment"),
    "run outside": (cell("runs", "folder", "../../other"), "leads out"),
    "absolute run": (cell("runs", "folder", "/etc"), "leads out"),
    "unknown kind": (cell("trials", "kind", "magic"), "contradict each other"),
    "unknown state": (cell("runs", "state", "?"), "contradict each other"),
    "row twice": (cell("runs", "fold", 1), "contradict each other"),
    "reference to nothing": (cell("runs", "trial_id", 99), "contradict each other"),
    "environment of nothing": (cell("runs", "environment_id", 99), "contradict each other"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_record_that_no_store_could_have_written_is_refused(sent, fault):
    edit, message = BAD[fault]
    change(sent, edit)
    with Store.in_memory() as mine:
        with pytest.raises(UserError, match=message):
            mine.import_record(read_record(sent))
        assert mine.experiments() == []


def test_torn_and_absent_records_are_refused(sent, tmp_path, monkeypatch):
    path = sent / "record.json"
    whole = path.read_bytes()
    for text in (
        b"",
        whole[: len(whole) // 2],
        whole[:-2],
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"format": 1, "format": 1}',
        b"[]",
    ):
        path.write_bytes(text)
        with pytest.raises(UserError, match=r"record\.json: (not a whole record|not a record)"):
            read_record(path)
    path.write_bytes(whole)
    monkeypatch.setattr(record_module, "MAX_BYTES", len(whole) - 1)
    with pytest.raises(UserError, match="is not read"):
        read_record(path)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_record(tmp_path / "absent.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("name", "plain_name"),
    [("a", True), ("first_1+x-2.b", True), ("..", False), (".", False), ("", False), ("a/b", False), ("a\\b", False),
     ("a\nb", False), ("a" * 201, False)],
)  # fmt: skip
def test_names_cannot_lead_elsewhere(name, plain_name):
    assert is_plain_name(name) is plain_name


def test_an_older_record_may_lack_columns_that_may_be_empty(sent):
    def edit(content):
        runs = content["tables"]["runs"]
        place = runs["columns"].index("model_seconds")
        del runs["columns"][place]
        for row in runs["rows"]:
            del row[place]

    change(sent, edit)
    with store_of_record(sent) as (store, name):
        run = store.runs(store.trials(store.experiment(name).id)[0].id)[0]
        assert (run.seconds, run.model_seconds) == (train_result().seconds, None)
