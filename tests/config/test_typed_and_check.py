import shlex
import subprocess
import sys

import pytest

from powerbench.config.argv import parse
from powerbench.config.categories import CATEGORIES
from powerbench.config.check import check
from powerbench.config.merged import load_config
from powerbench.config.schema import ClassSpec, ExperimentConfig, thaw
from powerbench.config.search_keys import fill, first_values
from powerbench.config.typed import typed
from powerbench.errors import UserError

DEMO = " ".join(f"--config_{category} [demo]" for category in ("dataset", "models", "optimizers", "transforms")) + (
    " --config_general [default, demo] "
)
MEMORY = "--config_loss_and_miners [default, with_cross_batch_memory] "


def config_of(text="", checked=False):
    line = parse(shlex.split(text), {})
    merged = load_config(line.config_names, line.overrides)
    config = typed(fill(merged, first_values(merged)), merged)
    if checked:
        check(config, merged)
    return config


def refusal(text):
    with pytest.raises(UserError) as caught:
        config_of(text, checked=True)
    return str(caught.value)


def test_the_schema_knows_the_keys_of_the_categories_and_no_others():
    keys = {key for keys in CATEGORIES.values() for key in keys}
    assert keys == set(ExperimentConfig.model_fields) - {"num_epochs_of_folds"}


def test_shipped_defaults_are_the_schemas_defaults():
    config = config_of()
    for name, field in ExperimentConfig.model_fields.items():
        if not field.is_required():
            assert getattr(config, name) == field.get_default(call_default_factory=True), name


def test_the_published_protocol_is_the_default():
    config = config_of()
    assert config.dataset == ClassSpec.model_validate("CUB200")
    assert config.trainer.name == "MetricLossOnly"
    assert (config.trainer.batch_size, config.trainer.iterations_per_epoch) == (32, 100)
    assert (config.num_epochs_train, config.save_interval, config.patience) == (1000, 2, 9)
    assert config.optimizers["trunk_optimizer"].args == {"lr": 1e-6, "weight_decay": 1e-4, "momentum": 0.9}
    assert thaw(config.transforms.train[1].args) == {"scale": [0.16, 1], "ratio": [0.75, 1.33], "size": 227}
    assert [step.name for step in config.transforms.eval] == ["Resize", "CenterCrop"]


@pytest.mark.parametrize(
    "text", ["", DEMO, "--num_epochs_train {Test50_50_Partitions4_0: 3, Test50_50_Partitions4: 5}"]
)
def test_a_config_survives_the_trip_through_plain_values(text):
    config = config_of(text)
    again = ExperimentConfig.from_plain(config.plain())
    assert again == config
    assert again.plain() == config.plain()


def test_texts_of_several_numbers_are_lists_in_transforms():
    config = config_of("--transforms {train~OVERRIDE~: {A: {x: 1 2.5, y: bi linear}, B: null}}")
    assert [thaw(step.args) for step in config.transforms.train] == [{"x": [1, 2.5], "y": "bi linear"}, {}]


def test_settings_under_a_fixed_name_may_be_left_at_their_defaults():
    config = config_of("--aggregator~OVERRIDE~ MeanAggregator --ensemble~OVERRIDE~ {ConcatenateEmbeddings: null}")
    assert config.plain()["ensemble"] == {
        "ConcatenateEmbeddings": {"normalize_embeddings": True, "use_trunk_output": False}
    }
    assert config.aggregator.split_to_aggregate == "val"


def test_a_class_has_three_spellings():
    a, b, c = (
        config_of(f"--sampler~OVERRIDE~ {text}") for text in ("RandomSampler", "{RandomSampler}", "{RandomSampler: {}}")
    )
    assert a == b == c
    assert a.plain()["sampler"] == {"RandomSampler": {}}


def test_the_config_is_frozen_to_the_bottom():
    config = config_of()
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3
    with pytest.raises(ValueError, match="frozen"):
        config.trainer.batch_size = 3
    for mapping in (
        config.optimizers,
        config.optimizers["trunk_optimizer"].args,
        config.loss_funcs,
        config.mining_funcs,
    ):
        with pytest.raises(TypeError):
            mapping["x"] = 1
    assert isinstance(config.split_manager.args["data_and_label_getter_keys"], tuple)


def test_epochs_can_be_given_by_fold():
    config = config_of("--num_epochs_train {Test50_50_Partitions4_1: 3, Test50_50_Partitions4: 5}")
    assert config.num_epochs_train == 5
    assert config.epochs_of("Test50_50_Partitions4_1") == 3
    assert config.epochs_of("Test50_50_Partitions4_2") == 5
    assert config.plain()["num_epochs_train"] == {"Test50_50_Partitions4_1": 3, "Test50_50_Partitions4": 5}
    with pytest.raises(UserError, match="Did you mean"):
        config_of("--num_epochs_train {Test50_50_Partitions4_1: 3}").epochs_of("Test50_50_Partitions4_2")
    assert config_of("--num_epochs_train 7").epochs_of("anything") == 7


def test_metric_names_of_earlier_systems_become_ours():
    config = config_of(
        "--hook_container~APPLY~2 {primary_metric: mean_average_precision_at_r} --evaluation_metrics [e_recall@1, recall_at_1]"
    )
    assert config.hook_container.primary_metric == "map_at_r"
    assert config.evaluation_metrics == ("recall_at_1",)


@pytest.mark.parametrize(("word", "value"), [("off", False), ("False", False), ("on", True), ("true", True)])
def test_the_cache_is_switched_as_one_would_write_it(word, value):
    assert config_of(f"--cache {word}").cache is value
    assert config_of(f"--cache {word} --cache_gigabytes 5").cache_gigabytes == 5


def test_numbers_may_be_whole_where_fractions_are_wanted_but_not_the_other_way():
    assert config_of("--checkpoint_seconds 3").checkpoint_seconds == 3
    assert "expected a whole number, not 3.0" in refusal("--seed 3.0")
    assert "expected a whole number, not True" in refusal("--seed true")
    assert "expected true or false, not 1" in refusal("--freeze_trunk 1")
    assert "expected true or false, not 'yes please'" in refusal("--freeze_trunk 'yes please'")


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("--tester~APPLY~2 {batchsize: 3}", "command line, tester/GlobalEmbeddingSpaceTester/batchsize", "Did you mean batch_size"),
        ("--tester~SWAP~1 {Other: null}", "", "expected {GlobalEmbeddingSpaceTester"),
        ("--trainer~APPLY~2 {batch_size: many}", "command line, trainer/MetricLossOnly/batch_size", "a whole number"),
        ("--trainer~APPLY~2 {batchsize: 3}", "command line, trainer/MetricLossOnly/batchsize", "Did you mean batch_size"),
        ("--trainer~APPLY~2 {loss_weights: 3}", "command line, trainer/MetricLossOnly/loss_weights", "{loss: number}"),
        ("--trainer~APPLY~2 {loss_weights: {metricloss: 1}}", "command line", "Did you mean metric_loss"),
        ("--trainer~SWAP~1 {MetricLosOnly: null}", "command line, trainer", "Did you mean MetricLossOnly"),
        ("--trainer~OVERRIDE~ {MetricLossOnly: 3}", "command line, trainer", "must be a mapping"),
        ("--ties pesimistic", "command line, ties", "Did you mean pessimistic"),
        ("--precision float64", "command line, precision", "expected float32, bfloat16 or float16"),
        ("--splits_to_eval [tset]", "command line, splits_to_eval", "Did you mean test"),
        ("--splits_to_eval test", "command line, splits_to_eval", "a list"),
        ("--device gpu", "command line, device", "cuda:N"),
        ("--patience -1", "command line, patience", "greater than or equal to 0"),
        ("--num_epochs_train {}", "command line, num_epochs_train", "a whole number"),
        ("--num_epochs_train {a: x}", "command line, num_epochs_train", "a whole number"),
        ("--confidence 1", "command line, confidence", "less than 1"),
        ("--dataset {ImageFolder: null}", "", "~OVERRIDE~"),
        ("--dataset~OVERRIDE~ 3", "command line, dataset", "expected one class"),
        ("--dataset~OVERRIDE~ {CUB20: null}", "command line, dataset/CUB20", "Did you mean CUB200"),
        ("--dataset~APPLY~2 {downlaod: True}", "command line, dataset/CUB200/downlaod", "Did you mean download"),
        ("--split_manager~APPLY~2 {test_sze: 1}", "command line, split_manager/ClassDisjointSplitManager/test_sze", "test_size"),
        ("--sampler~APPLY~2 {m: 5}", "command line, sampler/MPerClassSampler/m", "no multiple"),
        ("--trainer~APPLY~2 {batch_size: 30} --sampler~OVERRIDE~ MPerClassSampler", "command line, sampler", "no multiple"),
        ("--tester~OVERRIDE~ {GlobalEmbeddingSpaceTester: {visualizer: 3}}", "command line, tester/GlobalEmbeddingSpaceTester/visualizer", "a mapping"),
        ("--sampler~OVERRIDE~ {AdaptiveBalancedSampler: {small_class_action: others}}", "command line, sampler/AdaptiveBalancedSampler", "Did you mean sample_other"),
        ("--sampler~OVERRIDE~ {GreedyCoresetSampler: {big_bach: 5}}", "command line, sampler/GreedyCoresetSampler/big_bach", "Did you mean big_batch"),
        ("--sampler~OVERRIDE~ {HierarchicalSampler: {super_classes_per_batch: 3}}", "command line, sampler/HierarchicalSampler", "m x super_classes_per_batch"),
        ("--sampler~OVERRIDE~ {FIDMatchedSampler: {candidates: 0}}", "command line, sampler/FIDMatchedSampler", "at least 1"),
        ("--sampler~OVERRIDE~ {ClassRandomSampler: {m: 3}}", "command line, sampler/ClassRandomSampler/m", "no multiple"),
        ("--sampler~OVERRIDE~ {ClassRandomSampler: {m: two}}", "command line, sampler/ClassRandomSampler/m", "a whole number"),
        ("--transforms {train: {RandomApply: {transforms: {ColorJitter: {hew: 1}}}}}", "command line, transforms/train/RandomApply/transforms/ColorJitter/hew", "Did you mean hue"),
        ("--sampler~APPLY~2 {labels: 5}", "command line, sampler/MPerClassSampler/labels", "leave it out"),
        ("--loss_funcs~DELETE~", "", "loss_funcs is missing"),
        ("--loss_funcs~OVERRIDE~ {}", "command line, loss_funcs", "at least one"),
        ("--loss_funcs {metric_loss: {ContrastiveLoss: {pos_margn: 1}}}", "command line, loss_funcs/metric_loss/ContrastiveLoss/pos_margn", "pos_margin"),
        ("--loss_funcs~OVERRIDE~ {metric_loss: {MultipleLosses: {losses: {ContrastiveLoss: {}}}}}", "command line, loss_funcs/metric_loss", "several entries"),
        ("--loss_funcs~OVERRIDE~ {metric_loss: CrossEntropyLoss}", "command line, loss_funcs/metric_loss", "with_classifier"),
        ("--models {clasifier: {MLP: {layer_sizes: []}}} --config_general [default, with_classifier]", "command line, models/clasifier", "Did you mean classifier"),
        ("--models {classifier: {MLP: {layer_size: []}}} --config_general [default, with_classifier]", "command line, models/classifier/MLP/layer_size", "Did you mean layer_sizes"),
        ("--transforms {trian: {Resize: {size: 3}}}", "command line, transforms/trian", "Did you mean train"),
        ("--loss_funcs~APPLY~3 {distance: {LpDistanc: {}}}", "command line, loss_funcs/metric_loss/ContrastiveLoss/distance", "LpDistance"),
        ("--loss_funcs~SWAP~2 {ProxyNCALoss: null}", "command line, loss_funcs/metric_loss/ProxyNCALoss", "with_metric_loss_optimizer"),
        ("--loss_funcs~SWAP~2 {SignalToNoiseRatioContrastiveLoss: null} --loss_funcs~APPLY~3 {distance: LpDistance}", "command line", "refuses"),
        ("--mining_funcs {tuple_minr: {BatchHardMiner: null}}", "command line, mining_funcs/tuple_minr", "Did you mean tuple_miner"),
        ("--mining_funcs {tuple_miner: {BatchHardMinr: null}}", "command line, mining_funcs/tuple_miner", "Did you mean BatchHardMiner"),
        (MEMORY + "--mining_funcs {tuple_miner: {BatchHardMiner: null}}", "command line, mining_funcs/tuple_miner", "{loss_funcs: {metric_loss: {CrossBatchMemory: {miner: {BatchHardMiner: {}}}}}} and leave tuple_miner out."),
        (MEMORY + "--mining_funcs {metric_loss_miner: {MultiSimilarityMiner: {epsilon: 0.2}}}", "command line, mining_funcs/metric_loss_miner", "miner: {MultiSimilarityMiner: {epsilon: 0.2}}"),
        (MEMORY + "--loss_funcs {other: TripletMarginLoss} --mining_funcs {tuple_miner: BatchHardMiner}", "command line, mining_funcs/tuple_miner", "or call the miner by the loss it serves"),
        (MEMORY + "--trainer~APPLY~2 {batch_size: 256}", "config_loss_and_miners/with_cross_batch_memory.yaml, loss_funcs/metric_loss/CrossBatchMemory/memory_size", "a memory of 128 does not hold a batch of 256"),
        (MEMORY + "--config_transforms [unsupervised] --config_general [default, with_unsupervised] --loss_funcs~APPLY~3 {memory_size~OVERRIDE~: 40}", "command line, loss_funcs/metric_loss/CrossBatchMemory/memory_size", "a memory of 40 does not hold a batch of 96"),
        ("--loss_funcs~SWAP~2 {DynamicSoftMarginLoss: null}", "command line, loss_funcs/metric_loss/DynamicSoftMarginLoss", "its second step fails"),
        ("--config_loss_and_miners [default, proxy_anchor, with_cross_batch_memory]", "config_loss_and_miners/with_cross_batch_memory.yaml, loss_funcs", "ProxyAnchorLoss"),
        ("--models {trunk~OVERRIDE~: {bninceptoin: null}}", "command line, models/trunk/bninceptoin", "Did you mean bninception"),
        ("--models {trunk~OVERRIDE~: {bninception: {pretraned: x}}}", "command line, models/trunk/bninception/pretraned", "pretrained"),
        ("--models {embedder~DELETE~: 1}", "", "models/embedder is missing"),
        ("--models {embedder~OVERRIDE~: {MLP: {layer_size: [3]}}}", "command line, models/embedder/MLP/layer_size", "layer_sizes"),
        ("--models {trunk~OVERRIDE~: {resnet18: {pretrained: null, pretraned: x}}}", "command line, models/trunk/resnet18", "pretraned"),
        ("--models {trunk~OVERRIDE~: {mobilenetv3_small_050: {foo: 3}}}", "command line, models/trunk/mobilenetv3_small_050", "foo"),
        ("--views 4", "command line, views", "freeze_trunk"),
        ("--optimizers~APPLY~3 {scheduler_by_epoch: {ReduceLROnPlateau: {patience: 2}}}", "command line, optimizers/trunk_optimizer/RMSprop/scheduler_by_epoch/ReduceLROnPlateau", "under scheduler_by_plateau"),
        ("--optimizers~APPLY~3 {scheduler_by_plateau: {StepLR: {step_size: 2}}}", "command line, optimizers/trunk_optimizer/RMSprop/scheduler_by_plateau/StepLR", "under scheduler_by_iteration or scheduler_by_epoch"),
        ("--optimizers~OVERRIDE~ {embedder_optimizer: {LBFGS: {lr: 0.1}}}", "command line, optimizers/embedder_optimizer/LBFGS", "several times a step"),
        ("--hook_container~APPLY~2 {primary_metric: nni}", "command line, hook_container", "there are: map_at_r"),
        ("--hook_container~APPLY~2 {primary_metric: uniformity}", "command line, hook_container/HookContainer/primary_metric", "larger is not better"),
        ("--optimizers~APPLY~3 {lrr: 1}", "command line, optimizers/trunk_optimizer/RMSprop/lrr", "Did you mean lr"),
        ("--optimizers~APPLY~3 {lr: -1}", "", "Invalid learning rate"),
        ("--optimizers {metric_los_optimizer: {SGD: null}}", "command line, optimizers/metric_los_optimizer", "metric_loss_optimizer"),
        ("--optimizers~APPLY~3 {scheduler_by_epoch: {StepLR: {}}}", "command line", "StepLR needs step_size"),
        ("--optimizers~APPLY~3 {scheduler_by_epoch: {StepLr: {step_size: 3}}}", "command line", "Did you mean StepLR"),
        ("--optimizers~APPLY~3 {scheduler_by_plateau: 3}", "command line", "expected one class"),
        ("--optimizers~APPLY~3 {clip_grad_norm: 0}", "command line", "above 0"),
        ("--transforms {train: {Rezise: {size: 3}}}", "command line, transforms/train/Rezise", "Did you mean Resize"),
        ("--transforms {train: {Resize: {sise: 3}}}", "command line, transforms/train/Resize/sise", "Did you mean size"),
        ("--transforms {train~OVERRIDE~: [Resize]}", "command line, transforms/train", "transforms in order"),
        ("--freeze_trunk", "command line, freeze_trunk", "--config_transforms [demo]"),
        ("--hook_container~APPLY~2 {primary_metric: map_at_rr}", "command line, hook_container/HookContainer/primary_metric", "map_at_r"),
        ("--hook_container~APPLY~2 {validation_split_name: test}", "command line, hook_container/HookContainer/validation_split_name", "val"),
        ("--evaluation_metrics [mapp_at_r]", "command line, evaluation_metrics", "map_at_r"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_file_key_and_what_was_expected(text, place, told):
    message = refusal(text)
    assert message.startswith(place)
    assert told in message


def test_several_mistakes_are_told_together():
    message = refusal("--seed x --patience y")
    assert "command line, seed" in message
    assert "command line, patience" in message


def test_the_file_of_a_mistake_is_named(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("trainer:\n  MetricLossOnly:\n    batch_size: lots\n")
    assert refusal(f"--config_general [default, {file}]").startswith(f"{file}, trainer/MetricLossOnly/batch_size")


@pytest.mark.parametrize(
    "text",
    [
        DEMO,
        DEMO + "--optimizers~APPLY~3 {scheduler_by_plateau: {ReduceLROnPlateau: {factor: 0.5}}, clip_grad_norm: 1}",
        "--config_loss_and_miners [default, proxy_nca] "
        "--config_optimizers [default, with_metric_loss_optimizer_bayes_opt]",
        "--mining_funcs {metric_loss_miner: {MultiSimilarityMiner: {epsilon: 0.1}}, subset_batch_miner: BatchHardMiner}",
        MEMORY + "--loss_funcs {other: TripletMarginLoss} --mining_funcs {other_miner: BatchHardMiner}",
        MEMORY
        + "--loss_funcs {metric_loss: {CrossBatchMemory: {miner: {MultiSimilarityMiner: {epsilon~BAYESIAN~: [0, 1]}}}}}",
        "--freeze_trunk --views 4",
        "--models {trunk~OVERRIDE~: {resnet18: {pretrained: null}}}",
        "--models {trunk~OVERRIDE~: {vit_tiny_patch16_224: {pretrained: null, img_size: 64}}}",
        "--loss_funcs~APPLY~3 {distance: {LpDistance: {p: 1}}}",
        "--loss_funcs~OVERRIDE~ {metric_loss: {SoftTripleLoss: {weight_init_func: {kaiming_normal_: {a: 1}}}}} "
        "--config_optimizers [default, with_metric_loss_optimizer]",
        "--device cuda:1",
        "--trainer~APPLY~2 {loss_weights: {metric_loss: 0.5}}",
        "--loss_funcs~OVERRIDE~ {metric_loss: {TripletMarginLoss: {margin~GRID~: [0.1, 0.2]}}}",
        "--loss_funcs~OVERRIDE~ {metric_loss~CHOICE_BAYESIAN~: [TripletMarginLoss, ContrastiveLoss]}",
    ],
)
def test_good_configs_pass(text):
    config_of(text, checked=True)


def test_every_value_of_a_searched_list_is_checked():
    assert "Did you mean ContrastiveLoss" in refusal(
        "--loss_funcs~OVERRIDE~ {metric_loss~CHOICE_BAYESIAN~: [TripletMarginLoss, ContrastivLoss]}"
    )
    assert "no multiple" in refusal("--sampler~OVERRIDE~ {MPerClassSampler: {m~GRID~: [4, 5]}}")
    assert "expected a whole number" in refusal("--trainer~APPLY~2 {batch_size~GRID~: [32, x]}")


def test_a_users_loss_is_checked_like_any_other(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n\nclass Mine(torch.nn.Module):\n    def __init__(self, scale=1.0):\n        super().__init__()\n\n"
        "class NoModule:\n    pass\n"
    )
    config_of(f"--loss_funcs~OVERRIDE~ {{metric_loss: {{{file}:Mine: {{scale: 2}}}}}}", checked=True)
    config_of(f"--loss_funcs~OVERRIDE~ {{metric_loss: {{{file}:Mine}}}}", checked=True)
    assert "Did you mean scale" in refusal(f"--loss_funcs~OVERRIDE~ {{metric_loss: {{{file}:Mine: {{scael: 2}}}}}}")
    assert "torch.nn.Module" in refusal(f"--loss_funcs~OVERRIDE~ {{metric_loss: {{{file}:NoModule}}}}")


def test_reading_a_command_line_imports_nothing_heavy():
    code = (
        "import sys\n"
        "import powerbench.config.argv, powerbench.config.search_keys, powerbench.config.legacy\n"
        "from powerbench.config.merged import load_config\n"
        "load_config({}, {})\n"
        "assert not {'torch', 'ax', 'pydantic', 'numpy', 'pandas'} & set(sys.modules)\n"
        "import powerbench.config.check, powerbench.config.typed\n"
        "assert not {'torch', 'ax', 'pandas'} & set(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_length_of_the_measured_embedding_cannot_be_searched():
    text = (
        "--config_general [default, with_cascaded] --config_loss_and_miners [default, with_cascaded] "
        "--config_models [cascaded] --trainer~APPLY~2 {share_embedding_size~CHOICE_BAYESIAN~: [True, False]}"
    )
    assert "belongs to the protocol" in refusal(text)
