import pytest

from powerbench.driver.requests import Request, changed_paths, requested_config, result_changes
from powerbench.errors import UserError
from powerbench.plan import Budget
from powerbench.store.rows import ExperimentRow


def known(config, budget=None):
    plain = (budget or Budget(6, (0,))).plain()
    return ExperimentRow(1, "x", config, "hash", {}, "fp", 0, plain, "folder", "now")


STORED = {
    "config_general": {"patience": 9, "trainer": {"MetricLossOnly": {"batch_size": 32, "dataloader_num_workers": 2}}},
    "config_dataset": {"splits_to_eval": ["val"]},
}


def test_paths_of_changes_name_the_deepest_key():
    new = {
        "config_general": {"patience": 3, "trainer": {"MetricLossOnly": {"batch_size": 32, "m": 1}}},
        "config_dataset": {"splits_to_eval": ["val"]},
    }
    paths = changed_paths(STORED, new)
    assert paths == ["patience", "trainer/MetricLossOnly/dataloader_num_workers", "trainer/MetricLossOnly/m"]


def test_null_and_no_arguments_are_the_same():
    assert not changed_paths({"a": {"loss": {"L": None}}}, {"a": {"loss": {"L": {}}}})


@pytest.mark.parametrize(("old", "new"), [(None, 0), (None, False), (None, ""), ({}, 0), (0.0, None)])
def test_zero_and_no_are_values(old, new):
    assert changed_paths({"a": {"patience": old}}, {"a": {"patience": new}}) == ["patience"]


def test_a_command_without_settings_takes_up_the_stored_ones():
    merged, budget = requested_config(Request("x"), known(STORED), None)
    assert merged.plain() == STORED
    assert budget == Budget(6, (0,))


def test_a_larger_budget_is_no_change_of_settings():
    _, budget = requested_config(Request("x", Budget(8, (0, 1, 2))), known(STORED), None)
    assert budget == Budget(8, (0, 1, 2))


def test_other_settings_are_refused_by_name():
    with pytest.raises(UserError, match=r"patience.*--merge_argparse_when_resuming"):
        requested_config(Request("x", overrides={"patience": 3}), known(STORED), None)


def test_other_settings_are_taken_with_the_merge_flag():
    merged, _ = requested_config(Request("x", overrides={"patience": 3}, merge=True), known(STORED), None)
    assert merged.categories["config_general"]["patience"] == 3


@pytest.mark.parametrize(
    "overrides",
    [
        {"splits_to_eval": ["test"]},
        {"trainer": {"MetricLossOnly": {"dataloader_num_workers": 8}}},
        {"keep_weights": "all"},
        {"patience": 9},
    ],
)
def test_what_cannot_change_a_result_may_change(overrides):
    merged, _ = requested_config(Request("x", overrides=overrides), known(STORED), None)
    assert merged.flat().keys() >= overrides.keys()


def test_a_class_with_nothing_but_free_settings_is_the_class_alone():
    alone = {"config_dataset": {"dataset": {"CUB200": None}}}
    downloaded = {"config_dataset": {"dataset": {"CUB200": {"download": True, "root": "x"}}}}
    other = {"config_dataset": {"dataset": {"CUB200": {"download": True, "year": 2010}}}}
    for first, second in ((alone, downloaded), (downloaded, alone)):
        assert changed_paths(first, second) == ["dataset/CUB200/download", "dataset/CUB200/root"]
        assert result_changes(first, second) == []
    assert result_changes(alone, other) == ["dataset/CUB200"]
