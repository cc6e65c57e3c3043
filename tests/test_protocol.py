import shlex

import pytest

from powerbench.config.argv import parse
from powerbench.config.merged import load_config
from powerbench.config.search_keys import fill, first_values, search_keys
from powerbench.config.typed import typed
from powerbench.errors import UserError
from powerbench.plan import Budget
from powerbench.protocol import (
    CHANGED_MIDWAY,
    SEARCH_VERSION,
    continued,
    differences,
    fingerprint,
    protocol_of,
    refuse_unfair,
)


def protocol_for(text, weights=None, **facts):
    line = parse(shlex.split(text), {})
    merged = load_config(line.config_names, line.overrides)
    config = typed(fill(merged, first_values(merged)), merged)
    return protocol_of(
        config,
        Budget(3, (0, 1)),
        dataset_checksum="d",
        split_checksums=["s"],
        weights=weights or ("random" if "null" in text else "imagenet"),
        searched={key.path: list(key.value) for key in search_keys(merged)},
        **facts,
    )


def test_equal_protocols_have_equal_fingerprints_whatever_their_order():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_differences_name_keys_and_can_ignore_some():
    first, second = {"a": 1, "b": 2, "c": None}, {"a": 1, "b": 3}
    assert differences(first, second) == ["b", "c"]
    assert differences(first, second, ignoring=["b"]) == ["c"]


def test_other_split_checksums_are_a_consequence_of_another_split_manager():
    first = {"split_manager": "A", "split_checksums": [1]}
    assert differences(first, {"split_manager": "B", "split_checksums": [2]}) == ["split_manager"]
    assert differences(first, {"split_manager": "A", "split_checksums": [2]}) == ["split_checksums"]


def test_a_protocol_that_changed_midway_names_the_keys_for_good():
    before, after = {"patience": 3, "trials": 2}, {"patience": 9, "trials": 4}
    assert continued(before, {"patience": 3, "trials": 4}) == {"patience": 3, "trials": 4}
    mixed = continued(before, after)
    assert mixed == {**after, CHANGED_MIDWAY: ["patience"]}
    assert continued(mixed, after) == mixed
    assert differences(mixed, after) == [CHANGED_MIDWAY]


def test_a_larger_budget_is_no_change_but_another_way_to_search_is():
    before = {"trials": 2, "reproductions": 0, "search_strategy": "random", "parallel_trials": 1}
    more = {**before, "trials": 9, "reproductions": 3}
    assert continued(before, more) == more
    assert continued(before, {**more, "search_strategy": "ax"})[CHANGED_MIDWAY] == ["search_strategy"]
    unsearched = {**before, "trials": 0, "search_strategy": "any", "parallel_trials": "any"}
    assert continued(unsearched, more) == more
    by_ax = {**more, "search_strategy": "ax"}
    versioned = {**by_ax, "search_version": 2}
    assert continued(by_ax, versioned)[CHANGED_MIDWAY] == ["search_version"]
    assert continued(unsearched, versioned) == versioned


def test_a_method_that_changed_midway_is_named_where_the_protocol_did_not():
    before = {"patience": 3}
    assert continued(before, before, ["sampler/MPerClassSampler/m"])[CHANGED_MIDWAY] == ["sampler/MPerClassSampler/m"]
    assert continued(before, {"patience": 9}, ["patience"])[CHANGED_MIDWAY] == ["patience"]


def test_only_what_ax_proposes_has_a_version_of_the_search():
    margin = "--loss_funcs {metric_loss: {ContrastiveLoss: {neg_margin~BAYESIAN~: [0, 1]}}}"
    assert protocol_for(margin)["search_version"] == SEARCH_VERSION
    assert "search_version" not in protocol_for(f"{margin} --search_strategy sobol")


@pytest.mark.parametrize(
    ("key", "searched"),
    [
        ("ties", "--ties~CHOICE_BAYESIAN~ [pessimistic, optimistic]"),
        ("freeze_trunk_batchnorm", "--trainer~APPLY~2 {freeze_trunk_batchnorm~CHOICE_BAYESIAN~: [True, False]}"),
        ("batch_size", "--trainer~APPLY~2 {batch_size~GRID~: [32, 64]}"),
        ("pca", "--tester~APPLY~2 {pca~INT_BAYESIAN~: [8, 64]}"),
        ("normalize_embeddings", "--ensemble~APPLY~2 {normalize_embeddings~GRID~: [True, False]}"),
        ("embedder_optimizer", "--optimizers {embedder_optimizer: {RMSprop: {lr~LOG_BAYESIAN~: [1e-6, 1e-3]}}}"),
        ("trunk_weights", "--models {trunk~OVERRIDE~: {bninception: {pretrained: null}}}"),
        ("embedder", "--models {embedder: {MLP: {layer_sizes: [64]}}}"),
    ],
)
def test_what_is_searched_of_the_protocol_differs_from_a_fixed_value(key, searched):
    """Otherwise a search over the conditions could stand beside results under one of them."""
    assert key in differences(protocol_for(""), protocol_for(searched))


@pytest.mark.parametrize(
    "method",
    [
        "--loss_funcs~OVERRIDE~ {metric_loss: {ContrastiveLoss: {neg_margin~BAYESIAN~: [0, 1]}}}",
        "--loss_funcs {metric_loss: {ContrastiveLoss: {neg_margin: 0.3}}} --sampler~APPLY~2 {m: 8}",
        "--mining_funcs {tuple_miner: BatchHardMiner} --trainer~APPLY~2 {loss_weights: {metric_loss: 2}}",
        "--optimizers {metric_loss_optimizer: {Adam: {lr: 0.1}}} --device cpu --threads_per_run 2",
        "--dataset~OVERRIDE~ {CUB200: {root: /elsewhere, download: True}} --keep_weights all",
    ],
)
def test_method_and_environment_leave_the_protocol_alone(method):
    assert differences(protocol_for(""), protocol_for(method)) == []


def test_a_weights_file_counts_by_its_content_not_by_its_place():
    here, there = (
        protocol_for(f"--models {{trunk~OVERRIDE~: {{bninception: {{weights: /{place}/w.pth}}}}}}", weights="hash")
        for place in "ab"
    )
    assert differences(here, there) == []


def test_an_unfair_table_is_refused_by_naming_methods_and_keys():
    refuse_unfair({"a": {"x": 1}, "b": {"x": 1}})
    with pytest.raises(UserError, match=r"a and c are not comparable.*differ in x"):
        refuse_unfair({"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 2}})


def test_what_training_images_are_made_with_counts_whether_one_recipe_or_one_a_view_says_it():
    """Several views by the recipe of methods with one view are images under the same protocol."""
    views = "--config_general [default, with_unsupervised] --config_transforms [unsupervised]"
    assert differences(protocol_for(""), protocol_for(views)) == []
    other = protocol_for(views + " --transforms {augmentation2: {RandomHorizontalFlip: {p: 0.1}}}")
    assert differences(protocol_for(""), other) == ["transforms", "transform_order"]
    assert [recipe["RandomHorizontalFlip"]["p"] for recipe in other["transforms"]["train"]] == [0.5, 0.1, 0.5]


def test_embeddings_of_several_embedders_are_another_protocol():
    assert differences(protocol_for(""), protocol_for("", joined_embedders=2)) == ["joined_embedders"]
    assert differences(protocol_for(""), protocol_for("", joined_embedders=1)) == []
