"""The configs and suites of "A Metric Learning Reality Check": every value equals what was published."""

from functools import cache

import pytest

from powerbench.config.merged import load_config
from powerbench.config.search_keys import fill, first_values, search_keys
from powerbench.driver.requests import requested_config
from powerbench.driver.suite_running import plan_part
from powerbench.driver.suites import load_suite
from powerbench.plan import Budget
from powerbench.roots import find_roots
from tests.reference import reality_check_facts as facts

CELLS = [(setting, method) for setting in facts.SETTINGS for method in facts.CLASSES]

OWN_KEYS = {
    "seed": 0,
    "confidence": 0.95,
    "include_best": False,
    "search_strategy": "ax",
    "parallel_trials": 1,
    "device": "auto",
    "precision": "float32",
    "channels_last": True,
    "threads_per_run": 1,
    "ranking_backend": "auto",
    "checkpoint_seconds": 120.0,
    "augment_on": "workers",
    "cache": True,
    "cache_gigabytes": 32.0,
    "keep_weights": "best_and_reproductions",
    "evaluation_metrics": ["map_at_r", "precision_at_1", "r_precision"],
    "ties": "pessimistic",
    "clustering": {"clusters": None, "iterations": 20, "restarts": 1, "runs": 5},
}
"""Keys that the predecessor did not have."""


@cache
def only_part(name):
    (part,) = load_suite(name, root=None, overrides={}).parts
    return part


def suite_part(name):
    part = only_part(name)
    assert list(part.requests) == list(facts.CLASSES)
    return part


@cache
def merged_of(name, method):
    return requested_config(suite_part(name).requests[method], None, None)[0]


def loss_path(method, argument):
    if argument == "epsilon":
        return "mining_funcs/tuple_miner/MultiSimilarityMiner/epsilon"
    return f"loss_funcs/metric_loss/{facts.CLASSES[method]}/{argument}"


def searched_by(setting, method):
    """Path -> (operator, low, high), as published."""
    bounds = {loss_path(method, name): bound for name, bound in facts.bounds_of(method, setting).items()}
    if method in facts.OWN_WEIGHTS:
        bounds["optimizers/metric_loss_optimizer/RMSprop/lr"] = facts.LEARNING_RATE
    return {path: bound for path, bound in bounds.items() if isinstance(bound, tuple)}


def searched_in(merged):
    return {key.path: (key.operator, *key.value) for key in search_keys(merged)}


def published(setting, method, values, rate):
    """The whole config of a method with these arguments and learning rate of the loss's own weights."""
    values = dict(values)
    miner = {"MultiSimilarityMiner": {"epsilon": values.pop("epsilon")}} if "epsilon" in values else None
    arguments = {**facts.WITHOUT_SEARCH.get(method, {}), **values}
    optimizers = {"trunk_optimizer": facts.RMSPROP, "embedder_optimizer": facts.RMSPROP}
    if method in facts.OWN_WEIGHTS:
        decay = 0 if method in facts.NO_WEIGHT_DECAY else 1e-4
        optimizers["metric_loss_optimizer"] = {"RMSprop": {"lr": rate, "weight_decay": decay, "momentum": 0.9}}
    return {
        **facts.PROTOCOL,
        **facts.OF_SETTING[setting],
        "trainer": facts.trainer_of(setting),
        "loss_funcs": {"metric_loss": {facts.CLASSES[method]: arguments}},
        "sampler": {"MPerClassSampler": {"m": 1 if method in facts.CLASSIFICATION else 4}},
        "mining_funcs": {} if miner is None else {"tuple_miner": miner},
        "optimizers": optimizers,
        **OWN_KEYS,
    }


def without_factories(flat):
    return {key: value for key, value in flat.items() if key != "factories"}


@pytest.mark.parametrize(("setting", "method"), CELLS)
def test_every_value_of_a_full_suite_is_the_published_one(setting, method):
    merged = merged_of(f"mlrc_{setting}", method)
    assert searched_in(merged) == searched_by(setting, method)
    bounds = facts.bounds_of(method, setting)
    lowest = {name: bound[1] if isinstance(bound, tuple) else bound for name, bound in bounds.items()}
    expected = published(setting, method, lowest, facts.LEARNING_RATE[1])
    assert without_factories(fill(merged, first_values(merged))) == expected


@pytest.mark.parametrize(("setting", "method"), CELLS)
def test_every_value_of_the_published_optima(setting, method):
    merged = merged_of(f"mlrc_{setting}_optima", method)
    assert not search_keys(merged)
    assert without_factories(merged.flat()) == published(setting, method, *facts.optimum_of(method, setting))


@pytest.mark.parametrize("setting", facts.SETTINGS)
def test_optima_lie_within_the_published_bounds(setting):
    for method in facts.CLASSES:
        values, rate = facts.optimum_of(method, setting)
        bounds = {**facts.bounds_of(method, setting), "lr": facts.LEARNING_RATE}
        for name, value in {**values, **({} if rate is None else {"lr": rate})}.items():
            bound = bounds[name]
            assert bound[1] <= value <= bound[2] if isinstance(bound, tuple) else value == bound


@pytest.mark.parametrize("setting", facts.SETTINGS)
@pytest.mark.parametrize(
    ("ending", "budget"), [("", Budget(50, tuple(range(10)))), ("_optima", Budget(0, tuple(range(10))))]
)
def test_a_suite_has_the_published_budget(setting, ending, budget):
    assert suite_part(f"mlrc_{setting}{ending}").budget == budget


@pytest.mark.parametrize("method", facts.CLASSES)
def test_a_method_s_own_config_has_the_bounds_that_settings_share(method):
    merged = load_config({"config_loss_and_miners": ["default", method]}, {})
    assert searched_in(merged) == {loss_path(method, name): bound for name, bound in facts.BOUNDS[method].items()}


def test_the_published_grid_of_fastap_is_complete_with_31_trials():
    merged = load_config({"config_loss_and_miners": ["fastap_grid"]}, {})
    (key,) = search_keys(merged)
    assert (key.path, key.operator, list(key.value)) == (loss_path("fastap", "num_bins"), "GRID", list(range(2, 33)))


@pytest.mark.parametrize("method", facts.CLASSES)
def test_the_suite_on_emoji_searches_the_shared_bounds_with_frozen_features_and_the_published_splits(method):
    part = suite_part("mlrc_emoji200")
    merged = merged_of("mlrc_emoji200", method)
    assert part.budget.trials >= 25
    assert len(part.budget.reproductions) == 10
    assert searched_in(merged) == searched_by("emoji200", method)
    flat = merged.flat()
    assert flat["dataset"] == {"Emoji200": None}
    assert flat["freeze_trunk"] is True
    assert list(flat["models"]["trunk"]) == ["efficientnet_lite0"]
    (manager, cut), *others = flat["split_manager"].items()
    assert (manager, others) == ("MLRCSplitManager", [])
    assert cut == {
        name: value for name, value in facts.PROTOCOL["split_manager"][manager].items() if "getter" not in name
    }


@pytest.mark.parametrize("name", [f"mlrc_{s}{e}" for s in facts.SETTINGS for e in ("", "_optima")] + ["mlrc_emoji200"])
def test_every_suite_passes_its_checks(name, tmp_path):
    roots = find_roots({"root_experiment_folder": str(tmp_path)})
    prepared = plan_part(suite_part(name), roots)
    trials = 0 if name.endswith("_optima") else suite_part(name).budget.trials
    assert {item.plan.fold_runs for item in prepared.values()} == {(trials + 10) * 4}
    assert len({item.fingerprint for item in prepared.values()}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("data", ["emoji200", "cub200"])
def test_the_new_reality_check_is_the_old_one_and_newer_losses_under_the_same_protocol_and_budget(data, tmp_path):
    part, old = only_part(f"new_reality_check_{data}"), suite_part(f"mlrc_{data}")
    for name, request in old.requests.items():
        assert part.requests[name].config_names == request.config_names
    assert part.budget == old.budget
    assert len(part.requests) == 26
    prepared = plan_part(part, find_roots({"root_experiment_folder": str(tmp_path)}))
    assert len({item.fingerprint for item in prepared.values()}) == 1
