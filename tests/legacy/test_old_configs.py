"""Configs of powerful-benchmarker 0.9.x read as today's."""

import pytest

from powerbench.config.typed import typed
from powerbench.driver.origin import read_origin
from powerbench.errors import UserError
from powerbench.legacy.configs import given_by, load_old_config
from powerbench.legacy.folder import has_old_configs, holds_old_experiment
from tests.legacy.old_folders import OF_0_9_32, PUBLISHED, UP_TO_0_9_25, save_models, write_configs, write_yaml


def loaded(folder, names=None, replaced=()):
    return load_old_config(folder, names or {}, None, frozenset(replaced))


def config_of(merged):
    return typed(merged.flat(), merged)


def test_a_whole_folder_of_0_9_32_means_what_it_says(tmp_path):
    merged = loaded(write_configs(tmp_path))
    flat = merged.flat()
    for name, keys in OF_0_9_32.items():
        for key, value in keys.items() if name != "config_foldernames" else ():
            assert flat[key] == value
    config = config_of(merged)
    assert config.hook_container.primary_metric == "map_at_r"
    assert config.seed == 0
    assert not merged.notes
    assert given_by(merged, tmp_path) == {
        key for name, keys in OF_0_9_32.items() if "folder" not in name for key in keys
    }
    assert merged.origin("patience") == str(tmp_path / "configs/config_general.yaml")


def test_old_keys_are_todays_arguments(tmp_path):
    merged = loaded(write_configs(tmp_path, UP_TO_0_9_25))
    config = config_of(merged)
    trainer, tester = config.trainer, config.tester
    assert (trainer.name, trainer.iterations_per_epoch, trainer.batch_size) == ("MetricLossOnly", 50, 64)
    assert (trainer.dataloader_num_workers, trainer.freeze_trunk_batchnorm) == (1, False)
    assert (tester.batch_size, tester.normalize_embeddings, tester.dataloader_num_workers) == (64, False, 3)
    assert not config.ensemble.normalize_embeddings
    assert config.hook_container.primary_metric == "precision_at_1"
    assert config.skip_ensemble_eval_if_already_done is False
    cut = {"test_size": 0.5, "test_start_idx": 0.5, "num_training_partitions": 3, "num_training_sets": 2}
    assert merged.flat()["split_manager"] == {"MLRCSplitManager": cut}
    assert (config.dataset.name, config.num_epochs_train, config.patience) == ("CUB200", 40, 7)
    assert merged.flat()["loss_funcs"] == {"metric_loss": {"ContrastiveLoss": {"pos_margin": 0, "neg_margin": 0.5}}}
    assert list(config.mining_funcs) == ["tuple_miner"]
    assert merged.origin("trainer/MetricLossOnly/batch_size") == f"{tmp_path}/configs/config_models.yaml (batch_size)"
    assert [note for note in merged.notes if "config_dataset" in note]


@pytest.mark.parametrize(
    ("given", "modern"),
    [
        ({"use_similarity": True}, {"distance": {"CosineSimilarity": {}}}),
        (
            {"regularizer": {"CenterInvariantRegularizer": {}}, "reg_weight": 2},
            {"weight_regularizer": {"CenterInvariantRegularizer": {}}, "weight_reg_weight": 2},
        ),
        ({"loss": {"ContrastiveLoss": {"use_similarity": False}}}, {"loss": {"ContrastiveLoss": {}}}),
        ({"avg_non_zero_only": True, "margin~BAYESIAN~": [0, 1]}, {"margin": 0.25}),
    ],
)
def test_losses_have_todays_arguments(tmp_path, given, modern):
    write_configs(tmp_path, loss_funcs={"metric_loss": {"L": given}})
    write_yaml(tmp_path / "bayes_opt_parameters.yaml", {"loss_funcs/metric_loss/L/margin": 0.25})
    assert loaded(tmp_path).flat()["loss_funcs"] == {"metric_loss": {"L": modern}}


def test_missing_categories_are_taken_from_the_lists_that_are_given_or_the_defaults(tmp_path):
    names = {"config_general": ("default", "with_cars196"), "config_dataset": ("default", "with_cars196")}
    merged = loaded(write_configs(tmp_path, only=PUBLISHED), names)
    config = config_of(merged)
    assert (config.dataset.name, config.save_interval, config.patience) == ("Cars196", 5, 14)
    assert [note.partition(" has ")[2] for note in merged.notes] == [
        "no config_dataset.yaml; took default, with_cars196 instead.",
        "no config_eval.yaml; took default instead.",
        "no config_general.yaml; took default, with_cars196 instead.",
    ]
    assert not {"dataset", "patience"} & given_by(merged, tmp_path)


def test_batches_of_256_were_a_config_of_models(tmp_path):
    names = {"config_models": ("default", "with_256_batch")}
    merged = loaded(write_configs(tmp_path, only=("config_loss_and_miners",)), names)
    assert config_of(merged).trainer.batch_size == 256


def test_lists_for_categories_that_the_folder_has_are_not_read(tmp_path):
    merged = loaded(write_configs(tmp_path), {"config_general": ("default", "with_sop")})
    assert config_of(merged).save_interval == 2
    assert merged.notes == (f"{tmp_path}/configs has its own config_general.yaml; --config_general is not read.",)


def test_settings_changed_on_resuming_are_laid_over_in_their_order(tmp_path):
    write_configs(tmp_path)
    diffs = tmp_path / "configs/resume_training_config_diffs_"
    write_yaml(diffs.with_name(f"{diffs.name}10_8_10_12") / "config_general.yaml", {"patience": 3, "save_interval": 1})
    write_yaml(diffs.with_name(f"{diffs.name}4_4_4_4") / "config_general.yaml", {"patience": 99})
    merged = loaded(tmp_path)
    assert (merged.flat()["patience"], merged.flat()["save_interval"]) == (3, 1)
    assert [note.partition(": ")[2][:53] for note in merged.notes] == [
        "patience was changed after epoch 4, 4, 4, 4 (of each ",
        "patience, save_interval was changed after epoch 10, 8",
    ]


def test_the_chosen_parameters_of_a_search_are_filled_in(tmp_path):
    loss = {"metric_loss": {"ContrastiveLoss": {"pos_margin~BAYESIAN~": [0, 2], "neg_margin~BAYESIAN~": [0, 2]}}}
    write_configs(tmp_path, loss_funcs=loss)
    with pytest.raises(UserError, match="does not say which values were best"):
        loaded(tmp_path)
    assert loaded(tmp_path, replaced=["loss_funcs"])
    path = "loss_funcs/metric_loss/ContrastiveLoss"
    best = {f"{path}/pos_margin": 0.25, f"{path}/neg_margin": 0.5}
    write_yaml(tmp_path / "best_parameters.yaml", {"best_sub_experiment_name": "t4", "best_parameters": best})
    found = loaded(tmp_path).flat()["loss_funcs"]
    assert found == {"metric_loss": {"ContrastiveLoss": {"pos_margin": 0.25, "neg_margin": 0.5}}}


def test_a_root_that_does_not_exist_here_is_left_out(tmp_path):
    merged = loaded(write_configs(tmp_path, dataset={"CUB200": {"root": "/content/nowhere", "download": True}}))
    assert merged.flat()["dataset"] == {"CUB200": {"download": True}}
    assert "/content/nowhere" in merged.notes[0]
    here = {"CUB200": {"root": str(tmp_path)}}
    assert loaded(write_configs(tmp_path, dataset=here)).flat()["dataset"] == here


@pytest.mark.parametrize(
    "manager",
    [{"PredefinedSplitManager": None}, {"PredefinedSplitManager": {"test_size": 0.5, "num_training_sets": 4}}],
)
def test_a_predefined_split_is_one_fold(tmp_path, manager):
    merged = loaded(write_configs(tmp_path, split_manager=manager))
    assert merged.flat()["split_manager"] == {"PredefinedSplitManager": {"num_training_sets": 1}}


def test_special_schemes(tmp_path):
    write_configs(tmp_path, UP_TO_0_9_25, special_split_scheme_name="predefined")
    assert loaded(tmp_path).flat()["split_manager"] == {"PredefinedSplitManager": {"num_training_sets": 1}}
    write_configs(tmp_path, UP_TO_0_9_25, special_split_scheme_name="old_approach")
    with pytest.raises(
        UserError, match=r"config_general.yaml, special_split_scheme_name: 'old_approach' has no equival"
    ):
        loaded(tmp_path)
    assert loaded(tmp_path, replaced=["split_manager"]).flat()["dataset"] == {"CUB200": None}


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("config_general", {"patiense": 3}, r"config_general.yaml: there is no config key named 'patiense'.*patience"),
        ("config_general", {"training_method": {"A": {}}}, r"config_general.yaml, training_method: expected the name"),
        ("config_general", {"meta_testing_method": "Mean"}, r"config_general.yaml, meta_testing_method: there is no"),
        ("config_dataset", {"multi_dataset": {"a": 1}}, r"config_dataset.yaml, multi_dataset: several datasets"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_file_and_key(tmp_path, file, content, says):
    write_configs(tmp_path)
    write_yaml(tmp_path / f"configs/{file}.yaml", content)
    with pytest.raises(UserError, match=says):
        loaded(tmp_path)


def test_damaged_yaml_and_empty_folders_are_told(tmp_path):
    (tmp_path / "configs").mkdir()
    with pytest.raises(UserError, match="holds no config"):
        loaded(tmp_path)
    (tmp_path / "configs/config_general.yaml").write_text("patience: 3\npatience: 4\n")
    with pytest.raises(UserError, match=r"config_general.yaml, line 2: duplicate key 'patience'"):
        loaded(tmp_path)
    (tmp_path / "configs/config_general.yaml").write_text("a: !!python/object/apply:os.system [ls]\n")
    with pytest.raises(UserError, match=r"config_general\.yaml"):
        loaded(tmp_path)


def test_our_own_folders_are_told_from_old_ones(tmp_path):
    old = write_configs(tmp_path / "old")
    assert has_old_configs(old)
    assert not holds_old_experiment(old)
    save_models(old, "Test50_50_Partitions4_0", {"trunk": {}}, "best2")
    assert holds_old_experiment(old)
    ours = write_configs(tmp_path / "ours", {"config_general": {"seed": 0}})
    assert not has_old_configs(ours)
    (old / "record.json").touch()
    assert not has_old_configs(old)


@pytest.mark.parametrize(("only", "changed"), [(None, True), (PUBLISHED, False)])
def test_only_what_the_folder_gives_can_be_changed(tmp_path, only, changed):
    origin = read_origin(write_configs(tmp_path, only=only), {}, None)
    recipe = {
        "dataset~OVERRIDE~": {"CUB200": {"download": True}},
        "split_manager~SWAP~1": {"MLRCSplitManager": {}},
        "seed": 5,
    }
    found = origin.changes(origin.merged.with_overrides(recipe).categories)
    assert {path.partition("/")[0] for path in found} == ({"split_manager"} if changed else set())
    assert origin.reproductions == ()
