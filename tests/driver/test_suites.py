"""What a suite file means, and what is refused; nothing is trained here."""

import pytest
import yaml

from powerbench.driver.requests import requested_config
from powerbench.driver.suite_running import plan_part
from powerbench.driver.suites import load_suite, only
from powerbench.errors import UserError
from powerbench.plan import Budget
from powerbench.roots import find_roots

SHARED = {"trials": 2, "reproductions": 3, "config_general": ["default", "demo"], "overrides": {"patience": 3}}
METHODS = {
    "contrastive": {"config_loss_and_miners": ["contrastive"]},
    "proxy_nca": {"config_loss_and_miners": ["proxy_nca"], "overrides": {"sampler": {"MPerClassSampler": {"m": 2}}}},
}


@pytest.fixture(name="load")
def _load(tmp_path):
    def load(typed=None, **content):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({**SHARED, "methods": METHODS, **content}, sort_keys=False))
        return load_suite(str(path), root=None, overrides=typed or {})

    return load


def merged(request):
    return requested_config(request, None, None)[0]


def test_every_method_has_the_shared_part_the_same_budget_and_its_own_part(load):
    (part,) = load(title="A title").parts
    assert (part.name, part.title, part.budget) == ("mine", "A title", Budget(2, (0, 1, 2)))
    assert part.experiments == {"contrastive": "mine_contrastive", "proxy_nca": "mine_proxy_nca"}
    assert {request.budget for request in part.requests.values()} == {part.budget}
    for method, loss in (("contrastive", "ContrastiveLoss"), ("proxy_nca", "ProxyNCALoss")):
        flat = merged(part.requests[method]).flat()
        assert list(flat["loss_funcs"]["metric_loss"]) == [loss]
        assert flat["patience"] == 3
        assert flat["num_epochs_train"] == 4


def test_overrides_of_all_levels_are_merged_in_order_and_remember_their_file(load):
    (part,) = load(
        typed={"num_epochs_train": 2},
        methods={"a": {"overrides": {"trainer~APPLY~2": {"iterations_per_epoch": 7}, "num_epochs_train": 5}}},
        overrides={"trainer~APPLY~2": {"batch_size": 16}, "num_epochs_train": 9},
    ).parts
    config = merged(part.requests["a"])
    trainer = config.flat()["trainer"]["MetricLossOnly"]
    assert (trainer["batch_size"], trainer["iterations_per_epoch"]) == (16, 7)
    assert config.flat()["num_epochs_train"] == 2
    assert config.origin("num_epochs_train") == "command line"
    assert config.origin("trainer/MetricLossOnly/batch_size").endswith("mine.yaml")


def test_several_protocols_are_several_parts_with_all_methods(load):
    suite = load(
        title="Both",
        protocols={
            "small": {"overrides": {"num_epochs_train": 1}},
            "large": {
                "title": "The large one",
                "trials": 0,
                "reproductions": 1,
                "config_models": ["demo"],
                "methods": {"proxy_nca": {"overrides": {"sampler": {"MPerClassSampler": {"m": 4}}}}},
            },
        },
    )
    small, large = suite.parts
    assert (small.title, large.title) == ("Both: small", "The large one")
    assert list(small.experiments.values()) == ["mine_small_contrastive", "mine_small_proxy_nca"]
    assert list(large.experiments.values()) == ["mine_large_contrastive", "mine_large_proxy_nca"]
    assert (small.budget, large.budget) == (Budget(2, (0, 1, 2)), Budget(0, (0,)))
    flat = {part.name: merged(part.requests["proxy_nca"]).flat() for part in suite.parts}
    assert [flat[name]["num_epochs_train"] for name in ("mine_small", "mine_large")] == [1, 4]
    assert [flat[name]["sampler"]["MPerClassSampler"]["m"] for name in ("mine_small", "mine_large")] == [2, 4]
    assert list(flat["mine_large"]["models"]["trunk"]) == ["efficientnet_lite0"]


def test_some_of_the_methods_can_be_taken_alone(load):
    suite = load(protocols={"one": {}, "two": {}})
    assert [part.experiments for part in only(suite, ["proxy_nca"]).parts] == [
        {"proxy_nca": "mine_one_proxy_nca"},
        {"proxy_nca": "mine_two_proxy_nca"},
    ]
    with pytest.raises(UserError, match=r"no method 'proxynca'.*proxy_nca\?"):
        only(suite, ["proxynca"])


def test_first_trials_are_a_method_s_own_config_key(load):
    given = [{"neg_margin": 0.5, "pos_margin": 0}]
    (part,) = load(methods={"a": {"first_trials": given}, "b": {}}).parts
    assert merged(part.requests["a"]).flat()["first_trials"] == given
    assert "first_trials" not in merged(part.requests["b"]).flat()


def test_trials_default_to_fixed_settings(load):
    (part,) = load(trials=0, reproductions=2).parts
    assert part.budget == Budget(0, (0, 1))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"trials": 0, "reproductions": 0}, "trials .* or reproductions"),
        ({"trials": -1}, "trials"),
        ({"trials": "many"}, "trials"),
        ({"methods": {}}, "methods"),
        ({"titel": "x"}, "title"),
        ({"configs": {}}, "unknown key configs"),
        ({"config_generl": ["demo"]}, "config_general"),
        ({"patience": 3}, "patience is a config key: it belongs below overrides"),
        ({"loss_funcs~OVERRIDE~": {}}, "below overrides"),
        ({"config_general": "demo"}, "config_general"),
        ({"methods": {"a": {"config_optimizer": ["demo"]}}}, "methods/a/config_optimizer.*config_optimizers"),
        ({"methods": {"a": {"first_trial": []}}}, "first_trials"),
        ({"methods": {"a/b": {}}}, "a/b"),
        ({"protocols": {"p": {"methods": {"contrastve": {}}}}}, r"contrastve.*contrastive\?"),
        ({"protocols": {"p": {"reproduction": 1}}}, "reproductions"),
        ({"protocols": {"x": {}, "x_y": {}}, "methods": {"y_z": {}, "z": {}}}, "mine_x_y_z"),
    ],
)
def test_a_mistake_is_named(load, content, said):
    with pytest.raises(UserError, match=said):
        load(**content)


@pytest.mark.parametrize(("key", "value"), [("seed", 1), ("confidence", 0.9), ("include_best", True)])
def test_what_intervals_are_taken_over_is_shared_by_all_methods(load, tmp_path, key, value):
    roots = find_roots({"root_experiment_folder": str(tmp_path)})
    methods = {"a": {}, "b": {"overrides": {key: value}}}
    (part,) = load(methods=methods, trials=0, config_dataset=["demo"]).parts
    with pytest.raises(UserError, match=f"share one {key}, but mine has"):
        plan_part(part, roots)
