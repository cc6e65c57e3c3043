import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerbench.config.categories import CATEGORIES, all_keys, category_of
from powerbench.config.legacy import without_effect
from powerbench.config.merged import MergedConfig, load_config, load_saved
from powerbench.config.sources import config_names, suite_names, suite_path
from powerbench.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """A folder of configs of one's own."""
    root = tmp_path / "configs"
    for category in CATEGORIES:
        (root / category).mkdir(parents=True)
        (root / category / "default.yaml").write_text("")
    (root / "config_general" / "default.yaml").write_text("patience: 9\ntrainer:\n  T:\n    batch_size: 32\n")
    (root / "config_general" / "with_more.yaml").write_text("trainer~APPLY~2:\n  batch_size: 256\n")
    return root


def refusal(function, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def test_files_merge_in_order_and_the_command_line_comes_last(folder):
    names = {"config_general": ["default", "with_more"]}
    merged = load_config(names, {"patience": None, "trainer~APPLY~2": {"m": 1}}, folder=folder)
    assert merged.categories["config_general"] == {"patience": None, "trainer": {"T": {"batch_size": 256, "m": 1}}}
    assert merged.origin("patience") == "command line"
    assert merged.origin("trainer/T/m") == "command line"
    assert merged.origin("trainer/T/batch_size") == "config_general/with_more.yaml"
    assert merged.origin("trainer/T/unknown") == "config_general/default.yaml"
    assert merged.where(("trainer", "T", "m")) == "command line, trainer/T/m"
    assert merged.origin("nothing") == "config"


def test_a_key_new_to_the_files_is_set_by_the_command_line(folder):
    assert load_config({}, {"seed": 3}, folder=folder).flat()["seed"] == 3


def test_unknown_names_and_keys_are_refused(folder):
    message = refusal(load_config, {"config_general": ["with_mroe"]}, {}, folder=folder)
    assert message.startswith("--config_general")
    assert "Did you mean with_more" in message
    assert "there is no 'a/b'" in refusal(load_config, {"config_general": ["a/b"]}, {}, folder=folder)
    assert "Did you mean patience" in refusal(load_config, {}, {"patiense": 3}, folder=folder)
    assert "no folder of configs" in refusal(load_config, {}, {}, folder=folder / "absent")
    (folder / "config_models" / "default.yaml").write_text("patience: 3\n")
    assert "belongs to config_general" in refusal(load_config, {}, {}, folder=folder)
    (folder / "config_models" / "default.yaml").write_text("modles: 3\n")
    message = refusal(load_config, {}, {}, folder=folder)
    assert message.startswith("config_models/default.yaml")
    assert "Did you mean models" in message


def test_a_single_file_stands_for_a_category(folder):
    (folder / "config_general.yaml").write_text("patience: 1\n")
    assert load_config({"config_general": ["with_more"]}, {}, folder=folder).flat() == {"patience": 1}


def test_a_file_given_by_path_may_hold_any_keys(folder, tmp_path):
    file = tmp_path / "best_parameters.yaml"
    file.write_text("loss_funcs~OVERRIDE~:\n  metric_loss:\n    L:\npatience: 2\n")
    merged = load_config({"config_loss_and_miners": ["default", str(file)]}, {}, folder=folder)
    assert merged.categories["config_loss_and_miners"] == {"loss_funcs": {"metric_loss": {"L": None}}}
    assert merged.categories["config_general"]["patience"] == 2
    assert merged.origin("patience") == str(file)
    assert "cannot be read" in refusal(load_config, {"config_general": ["absent.yaml"]}, {}, folder=folder)


def test_a_saved_config_is_taken_where_it_has_a_file(folder, tmp_path):
    saved = tmp_path / "saved"
    load_config({}, {"patience": 77}, folder=folder).save(saved)
    (saved / "config_models.yaml").unlink()
    merged = load_config({"config_general": ["with_more"]}, {"seed": 1}, folder=folder, saved=saved)
    assert merged.flat()["patience"] == 77
    assert merged.flat()["seed"] == 1
    assert merged.notes == (f"{saved} has no config_models.yaml; took default instead.",)
    assert "holds no config" in refusal(load_saved, tmp_path / "empty")


def test_a_config_survives_storing_and_saving(tmp_path):
    merged = load_config({"config_loss_and_miners": ["triplet"]}, {})
    merged.save(tmp_path)
    assert load_saved(tmp_path) == merged
    again = MergedConfig.from_plain(merged.plain())
    assert again == merged
    assert again.hash == merged.hash
    assert again.origin("trainer/MetricLossOnly") == "stored config"
    assert merged.with_overrides({"seed": 5}).hash != merged.hash
    assert merged.with_categories({"config_general": {"seed": 1}}).flat() == {"seed": 1}


KEYS = st.sampled_from(CATEGORIES["config_general"])
INNER = st.from_regex(r"[a-z]{1,5}(~(BAYESIAN|GRID)~)?", fullmatch=True)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=6),
    st.sampled_from(["1e5", "007", "on"]),
)


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        KEYS, LEAVES | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), LEAVES, max_size=3), max_size=5
    )
)
def test_saving_and_loading_is_the_identity(tmp_path_factory, keys):
    folder = tmp_path_factory.mktemp("saved")
    config = MergedConfig({"config_general": keys})
    config.save(folder)
    assert load_saved(folder) == config


def test_names_that_lists_may_hold():
    names = config_names()
    assert names.keys() == CATEGORIES.keys()
    assert {"default", "demo", "with_sop"} <= set(names["config_general"])
    assert category_of("loss_funcs") == "config_loss_and_miners"
    assert category_of("nothing") is None
    assert len(all_keys()) == len(set(all_keys()))


def test_suites_are_found_by_name_or_path(folder, tmp_path):
    (folder / "suites").mkdir()
    (folder / "suites" / "mine.yaml").write_text("")
    assert suite_names(folder) == ["mine"]
    assert suite_path("mine", folder) == folder / "suites" / "mine.yaml"
    assert "Did you mean mine" in refusal(suite_path, "mnie", folder)
    own = tmp_path / "own.yaml"
    own.write_text("")
    assert suite_path(str(own), folder) == own
    assert "no file" in refusal(suite_path, str(tmp_path / "mine.yaml"), folder)


def test_what_has_no_effect_is_said_only_where_someone_asked_for_it():
    assert without_effect(load_config({}, {})) == []
    asked = {
        "save_lists_in_db": True,
        "api_parser": "APIMetricLossOnly",
        "log_data_to_tensorboard": False,
        "factories~OVERRIDE~": {"loss": {"MyLossFactory": {}}},
        "tester~APPLY~2": {"visualizer": {"UMAP": {}}, "accuracy_calculator": {"AccuracyCalculator": {"k": 3}}},
        "hook_container~APPLY~2": {"save_models": False},
        "aggregator~APPLY~2": {"split_to_aggregate": "test"},
    }
    notes = without_effect(load_config({}, asked))
    for word in (
        "save_lists_in_db",
        "api_parser",
        "factories",
        "visualizer",
        "accuracy_calculator",
        "save_models",
        "split_to_aggregate",
    ):
        assert sum(f"{word} has no effect" in note for note in notes) == 1, word
    assert all(note.startswith("command line: ") for note in notes)
    assert len(notes) == 7
