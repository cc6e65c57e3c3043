import pytest

from powerbench.config.merged import load_config
from powerbench.config.typed import typed
from powerbench.driver.preparing import outline
from powerbench.driver.step_timing import earliest_stop, estimate
from powerbench.errors import UserError
from powerbench.plan import Budget
from powerbench.roots import find_roots

SMALL = {
    "models~OVERRIDE~": {
        "trunk": {"resnet18": {"pretrained": None}},
        "embedder": {"MLP": {"layer_sizes": [8]}},
    },
    "transforms~OVERRIDE~": {"train": {"Resize": {"size": [32, 32]}}, "eval": {"Resize": {"size": [32, 32]}}},
    "trainer~APPLY~2": {"batch_size": 8, "iterations_per_epoch": 10},
    "num_epochs_train": 50,
    "device": "cpu",
}


def prepared(**changes):
    return outline(load_config({}, {**SMALL, **changes}), Budget())


def config(**keys):
    merged = load_config({}, keys)
    return typed(merged.flat(), merged)


@pytest.mark.parametrize(
    ("save_interval", "patience", "epochs", "last"),
    [(2, 9, 1000, 10), (5, 14, 1000, 15), (20, 39, 1000, 40), (2, 2, 1000, 4), (2, 9, 6, 6), (2, None, 70, 70)],
)
def test_the_earliest_stop_is_the_first_validation_past_patience(save_interval, patience, epochs, last):
    assert earliest_stop(config(save_interval=save_interval, patience=patience, num_epochs_train=epochs)) == last


def test_the_time_is_bounded_by_the_shortest_and_the_longest_training(tmp_path):
    roots = find_roots({"root_experiment_folder": str(tmp_path)})
    found = estimate("x", prepared(), 6, roots)
    assert found.iteration > 0
    assert found.shortest == pytest.approx(found.iteration * 6 * 10 * 10)
    assert found.longest == pytest.approx(found.iteration * 6 * 10 * 50)
    assert "CPU" in found.text
    assert not list(tmp_path.iterdir())


def test_a_frozen_trunk_s_time_is_not_that_of_training(tmp_path):
    assert estimate("x", prepared(freeze_trunk=True), 6, find_roots({"root_experiment_folder": str(tmp_path)})) is None


def test_images_that_the_trunk_does_not_take_are_refused(tmp_path):
    small = {"Resize": {"size": [8, 8]}}
    tiny = prepared(
        **{
            "models~OVERRIDE~": {**SMALL["models~OVERRIDE~"], "trunk": {"bninception": {"pretrained": None}}},
            "transforms~OVERRIDE~": {"train": small, "eval": small},
        }
    )
    with pytest.raises(UserError, match="does not take images of 8 x 8"):
        estimate("x", tiny, 6, find_roots({"root_experiment_folder": str(tmp_path)}))
