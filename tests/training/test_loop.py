import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import Stopped, UserError
from powerbench.evaluation.opening import open_data, open_fold_run
from powerbench.jobs import result_from_json, to_json
from powerbench.training import train_fold
from tests.training import tiny
from tests.training.interrupting import StopAt, same, train_interrupted, without_times
from tests.training.tiny import CONFIG, named, tiny_job, trainer

FIXED = {name: {"SGD": {"lr": 0.0}} for name in CONFIG["optimizers"]}
"""Optimisers that change nothing."""


def weights(job):
    return {path.name: torch.load(path, weights_only=True) for path in sorted(Path(job.folder).glob("*_best.pth"))}


def initial_run(job):
    config = ExperimentConfig.from_plain(job.config)
    return open_fold_run(config, job.places, open_data(config, job.places), job.fold, job.seed)


def test_the_result_says_what_was_measured_and_when(tmp_path):
    lines = []
    job = tiny_job(tmp_path, num_epochs_train=3)
    result = train_fold(job, report=lines.append)
    assert result.failure is None
    assert (result.fold_name, result.epochs, result.iterations) == ("Test50_50_Partitions2_0", 3, 9)
    rows = {(row.split, row.epoch, row.weights, row.metric): row.value for row in result.measurements}
    assert {key[:3] for key in rows} == {
        ("val", -1, "untrained_trunk"),
        ("val", 0, "untrained_trunk_and_embedder"),
        ("val", 2, "trained"),
        ("val", 3, "trained"),  # the last epoch, although save_interval is 2
    }
    assert {key[3] for key in rows} == {"map_at_r", "precision_at_1", "r_precision"}
    candidates = {key[1]: value for key, value in rows.items() if key[3] == "map_at_r" and key[1] >= 0}
    assert result.best_value == max(candidates.values()) == candidates[result.best_epoch]
    assert [(row.epoch, row.name) for row in result.losses] == [
        (epoch, name) for epoch in (1, 2, 3) for name in ("metric_loss", "total_loss")
    ]
    assert 0 < result.model_seconds < result.seconds
    assert result.environment["threads"] == torch.get_num_threads() == 1
    assert result.environment["trunk"] == "tiny, random weights"
    assert [line.partition(":")[0] for line in lines] == ["untrained", *(f"epoch {n} of 3" for n in (1, 2, 3))]
    assert result_from_json(to_json(result)) == result
    assert sorted(path.name for path in Path(job.folder).iterdir()) == [
        "embedder_best.pth",
        "result.json",
        "trunk_best.pth",
    ]


def test_equal_seeds_give_equal_numbers_and_another_seed_others(tmp_path):
    torch.manual_seed(5)  # global generators have no influence
    first, second, other = (tiny_job(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    results = [without_times(train_fold(job)) for job in (first, second, other)]
    assert results[0] == results[1] != results[2]
    assert same(weights(first), weights(second))


def test_training_leaves_global_generators_and_their_seeds_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_fold(tiny_job(tmp_path, num_epochs_train=1))
    assert torch.equal(torch.rand(3), expected)


def test_no_item_of_a_test_set_is_looked_at(tmp_path, monkeypatch):
    job = tiny_job(tmp_path)
    data = open_data(ExperimentConfig.from_plain(job.config), job.places)
    fold, seen = data.folds[0], set()
    whole = type(data.dataset).image
    monkeypatch.setattr(type(data.dataset), "image", lambda self, item: (seen.add(item), whole(self, item))[1])
    train_fold(job)
    allowed = set(fold.train.tolist()) | set(fold.val.tolist())
    assert seen - {0} <= allowed  # item 0 shows the trunk the size of an image
    assert set(fold.val.tolist()) <= seen
    assert not seen & set(fold.tests["test"].items().tolist())


def test_an_untrained_model_that_is_never_beaten_is_the_best(tmp_path):
    job = tiny_job(tmp_path, optimizers=FIXED, patience=3, num_epochs_train=50)
    result = train_fold(job)
    assert result.best_epoch == 0
    assert result.epochs == 4  # measured at 2 and 4; 4 - 0 exceeds a patience of 3
    kept = weights(job)
    run = initial_run(job)
    assert same(dict(kept["embedder_best.pth"]), dict(run.module("embedder").state_dict()))
    first = {name: value for name, value in kept["trunk_best.pth"].items() if value.is_floating_point()}
    for name in ("0.weight", "1.weight"):
        assert torch.equal(first[name], dict(run.module("trunk").state_dict())[name])


def test_without_untrained_baselines_the_first_measured_epoch_is_the_first_best(tmp_path):
    result = train_fold(tiny_job(tmp_path, optimizers=FIXED, check_untrained_accuracy=False, patience=0))
    assert {row.weights for row in result.measurements} == {"trained"}
    assert (result.best_epoch, result.epochs) == (2, 4)


def test_epochs_may_be_given_by_fold(tmp_path):
    epochs = {"Test50_50_Partitions2_0": 1, "Test50_50_Partitions2_1": 2}
    results = [train_fold(tiny_job(tmp_path / str(n), fold=n, num_epochs_train=epochs)) for n in (0, 1)]
    assert [result.epochs for result in results] == [1, 2]


def test_the_primary_metric_is_measured_even_if_it_is_not_listed_and_may_have_an_old_name(tmp_path):
    hook = {"HookContainer": {"primary_metric": "precision_at_1"}}
    names = {
        row.metric
        for row in train_fold(tiny_job(tmp_path, hook_container=hook, evaluation_metrics=["MAP@R"])).measurements
    }
    assert names == {"precision_at_1", "map_at_r"}


STATEFUL = {
    "batch norm, dropout, schedulers": {
        "trainer": trainer(freeze_trunk_batchnorm=False),
        "models": {"trunk": {named("tiny_trunk"): {"dropout": 0.3}}, "embedder": {"MLP": {"layer_sizes": [7, 5]}}},
        "optimizers": {
            "trunk_optimizer": {
                "Adam": {
                    "lr": 0.01,
                    "clip_grad_norm": 0.5,
                    "scheduler_by_iteration": {"ExponentialLR": {"gamma": 0.9}},
                    "scheduler_by_epoch": {"StepLR": {"step_size": 1}},
                }
            },
            "embedder_optimizer": {
                "RMSprop": {"lr": 0.01, "scheduler_by_plateau": {"ReduceLROnPlateau": {"patience": 0}}}
            },
        },
    },
    "float16": {"precision": "float16"},
    "a memory and a random miner": {
        "loss_funcs": {
            "metric_loss": {
                "CrossBatchMemory": {
                    "loss": {"ContrastiveLoss": {}},
                    "memory_size": 20,
                    "miner": {"MultiSimilarityMiner": {}},
                }
            },
            "margin_loss": {"MarginLoss": {"learn_beta": True}},
        },
        "mining_funcs": {"margin_loss_miner": {"DistanceWeightedMiner": {}}},
        "optimizers": {**CONFIG["optimizers"], "margin_loss_optimizer": {"RMSprop": {"lr": 0.01}}},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STATEFUL)
def test_interrupted_runs_end_at_the_same_bits(tmp_path, name):
    whole, broken = (tiny_job(tmp_path / folder, **STATEFUL[name]) for folder in ("whole", "broken"))
    expected = train_fold(whole)
    result, stopped = train_interrupted(broken, (5, 8, 5, 9, 4, 6, 12))
    assert stopped >= 4
    assert expected.failure is None
    assert without_times(result) == without_times(expected)
    assert same(weights(broken), weights(whole))


@pytest.mark.slow
def test_loader_processes_change_nothing(tmp_path):
    def job(workers):
        tester = {"GlobalEmbeddingSpaceTester": {"batch_size": 16, "dataloader_num_workers": workers}}
        return tiny_job(tmp_path / str(workers), trainer=trainer(dataloader_num_workers=workers), tester=tester)

    assert without_times(train_fold(job(0))) == without_times(train_fold(job(2)))


def test_a_stop_takes_effect_before_the_next_batch_and_the_time_is_added_up(tmp_path):
    job, stop = tiny_job(tmp_path), StopAt(8)
    with pytest.raises(Stopped):
        train_fold(job, should_stop=stop)
    assert stop.calls == 8
    first = torch.load(Path(job.folder) / "checkpoint.pth", weights_only=True)["history"]
    assert first["epoch"] == 1
    assert train_fold(job).seconds > first["seconds"] > 0


def test_a_finished_run_is_not_trained_again_until_its_weights_or_its_setting_are_gone(tmp_path):
    job, lines = tiny_job(tmp_path, num_epochs_train=1), []
    result = train_fold(job)
    assert train_fold(job, report=lines.append) == result
    assert lines == []
    (Path(job.folder) / "embedder_best.pth").unlink()
    assert without_times(train_fold(job, report=lines.append)) == without_times(result)
    assert lines
    assert train_fold(replace(job, seed=99)).losses != result.losses


def test_frozen_trunks_stay_and_only_the_embedder_is_kept(tmp_path):
    job = tiny_job(tmp_path, freeze_trunk=True, transforms={"train": {}, "eval": {}})
    result = train_fold(job)
    assert result.failure is None
    assert list(weights(job)) == ["embedder_best.pth"]
    assert result.losses[0].value > result.losses[-1].value


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_trains(tmp_path, precision):
    result = train_fold(tiny_job(tmp_path, precision=precision))
    assert result.failure is None
    assert math.isfinite(result.losses[-1].value)


def test_trunk_output_can_be_measured_instead_of_the_embedding(tmp_path):
    tester = {"GlobalEmbeddingSpaceTester": {"use_trunk_output": True, "dataloader_num_workers": 0}}
    result = train_fold(tiny_job(tmp_path, tester=tester, optimizers=FIXED))
    values = {row.epoch: row.value for row in result.measurements if row.metric == "map_at_r"}
    assert values[-1] == values[0] == values[4]


FAILURES = {
    "LossThatIsNan": ({}, "nan", "metric_loss is nan in epoch 1"),
    "LossThatExplodes": ({}, "diverged", "too large to be compared"),
    "LossThatFails": ({}, "error", "ZeroDivisionError: my own mistake"),
    "LossThatFails after huge steps": ({}, "nan", "the weights are no longer finite; then: ZeroDivisionError"),
    "LossThatFails memory": ({"kind": "MemoryError", "text": ""}, "out_of_memory", "MemoryError"),
    "LossThatFails allocator": (
        {"kind": "RuntimeError", "text": "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"},
        "out_of_memory",
        "can't allocate memory",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_come_back_as_such(tmp_path, case):
    args, kind, text = FAILURES[case]
    loss = {"metric_loss": {named(case.split()[0]): args}}
    rate = 1e22 if "huge steps" in case or case == "LossThatExplodes" else 1.0
    optimizers = {**FIXED, "embedder_optimizer": {"SGD": {"lr": rate}}}
    result = train_fold(tiny_job(tmp_path, loss_funcs=loss, optimizers=optimizers))
    assert result.failure is not None
    assert result.failure.kind == kind
    assert text in result.failure.message
    assert result.measurements  # what was measured before is kept
    assert not weights(tiny_job(tmp_path))
    assert result_from_json(to_json(result)).failure == result.failure


@pytest.mark.parametrize(("error", "kind"), [("MemoryError", "out_of_memory"), ("RuntimeError", "error")])
def test_a_run_that_cannot_be_built_fails_as_such(tmp_path, error, kind):
    result = train_fold(tiny_job(tmp_path, loss_funcs={"metric_loss": {named("LossThatNeverIs"): {"kind": error}}}))
    assert result.failure.kind == kind
    assert (result.fold_name, result.epochs) == ("Test50_50_Partitions2_0", 0)
    assert math.isnan(result.best_value)


def test_an_error_in_a_users_loss_names_its_file_and_line(tmp_path):
    result = train_fold(tiny_job(tmp_path, loss_funcs={"metric_loss": {named("LossThatFails"): {}}}))
    assert f"({tiny.FILE}, line " in result.failure.message
    assert "in forward)" in result.failure.message


def test_out_of_memory_continues_from_the_checkpoint_when_it_is_tried_again(tmp_path):
    enough = tmp_path / "enough memory"
    loss = {"metric_loss": {named("LossThatFails"): {"at": 5, "kind": "MemoryError", "unless": str(enough)}}}
    job = tiny_job(tmp_path, loss_funcs=loss)
    assert train_fold(job).failure.kind == "out_of_memory"
    enough.touch()
    lines: list[str] = []
    result = train_fold(job, report=lines.append)
    assert lines[0].startswith("epoch 2 ")
    assert result.failure is None
    assert without_times(result) == without_times(train_fold(replace(job, folder=str(tmp_path / "at once"))))


def test_errors_of_the_file_system_are_not_the_trials_fault(tmp_path):
    loss = {"metric_loss": {named("LossThatFails"): {"kind": "OSError", "text": "no space left on device"}}}
    with pytest.raises(OSError, match="no space left"):
        train_fold(tiny_job(tmp_path, loss_funcs=loss))


MISTAKES = {
    "proxies without an optimiser": (
        {"loss_funcs": {"metric_loss": {"ProxyNCALoss": {}}}},
        r"--config_optimizers \[default, with_metric_loss_optimizer\]",
    ),
    "a device that is none": ({"device": "toaster"}, "toaster"),
    "a device that is not there": ({"device": "cuda:77"}, "77"),
    "a device of another kind": ({"device": "meta"}, "not supported"),
    "a sampler that cannot plan": ({"sampler": {named("SamplerThatRefuses"): {}}}, "18 embeddings do not please me"),
    "an optimiser of nothing": (
        {"optimizers": {**CONFIG["optimizers"], "embeder_optimizer": {"SGD": {}}}},
        "Did you mean embedder_optimizer",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_refused(tmp_path, case):
    changes, text = MISTAKES[case]
    with pytest.raises(UserError, match=text):
        train_fold(tiny_job(tmp_path, **changes))


def test_a_fold_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match="no fold 2"):
        train_fold(tiny_job(tmp_path, fold=2))


@pytest.mark.filterwarnings("ignore:no query has a relevant item")
def test_a_validation_part_without_pairs_is_refused(tmp_path):
    dataset = {named("TinyImages"): {"per_class": 1}}
    job = tiny_job(tmp_path, dataset=dataset, sampler={"RandomSampler": {}})
    with pytest.raises(UserError, match="no class has two items"):
        train_fold(job)
