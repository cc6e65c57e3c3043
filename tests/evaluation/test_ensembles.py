from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import Stopped, UserError
from powerbench.evaluation import evaluate_models
from powerbench.evaluation.opening import open_data, open_fold_run
from powerbench.evaluation.splits import split_of
from powerbench.jobs import EvaluateJob, FoldModel, result_from_json, to_json
from powerbench.training import train_fold
from split_managers.contract import Fold, TestSet
from tests.reference.brute_force_retrieval import brute_force
from tests.training.interrupting import StopAt
from tests.training.tiny import CONFIG, named, tiny_job

METRICS = ["map_at_r", "precision_at_1", "r_precision"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An evaluation of two trained folds on everything, in both modes."""
    return train_folds(tmp_path_factory.mktemp("trained"))


def train_folds(folder, **changes):
    models = []
    for fold in (0, 1):
        job = tiny_job(folder / str(fold), fold=fold, seed=20 + fold, **changes)
        result = train_fold(job)
        models.append(FoldModel(fold, job.seed, job.folder, result.best_epoch))
    return EvaluateJob(
        config=job.config,
        models=tuple(models),
        splits=("train", "val", "test"),
        modes=("separate", "concatenated"),
        places=job.places,
    )


def embeddings(job, model, split, weights):
    """What a fold's model gives, computed without the evaluation's code."""
    config = ExperimentConfig.from_plain(job.config)
    with open_fold_run(config, job.places, open_data(config, job.places), model.fold, model.seed) as run:
        if weights == "trained":
            for name in run.trained_modules:
                state = torch.load(Path(model.folder) / f"{name}_best.pth", weights_only=True)
                run.module(name).load_state_dict(state)
        run.model.train(False)
        items = split_of(run.fold, split).items
        labels = run.data.dataset.index.labels[items, 0]
        ((images,),) = run.inputs.batches([items.copy()], part="eval")
        with torch.no_grad():
            pooled = run.model.trunk(images)["pooled"]
            found = pooled if weights == "untrained_trunk" else run.model.method.modules["embedder"](pooled)
        return found, labels


def measured(points, labels):
    return brute_force(F.normalize(points).numpy(), labels, METRICS)


@pytest.fixture(scope="module")
def result(trained):
    return evaluate_models(trained)


def test_every_fold_is_measured_on_every_split_with_every_weights(trained, result):
    assert result.failure is None
    rows = {(row.fold, row.split, row.weights, row.metric): row for row in result.separate}
    assert len(rows) == len(result.separate) == 2 * 3 * 3 * 3
    for model in trained.models:
        epochs = {row.weights: row.epoch for row in result.separate if row.fold == model.fold}
        assert epochs == {"untrained_trunk": -1, "untrained_trunk_and_embedder": 0, "trained": model.best_epoch}
        for split in trained.splits:
            for weights in epochs:
                expected = measured(*embeddings(trained, model, split, weights))
                found = {metric: rows[model.fold, split, weights, metric].value for metric in METRICS}
                assert found == pytest.approx(expected, abs=1e-9)


def test_the_validation_numbers_are_those_of_training(trained, result):
    for model in trained.models:
        job = tiny_job(Path(model.folder).parent, fold=model.fold, seed=model.seed)
        at_training = {(row.epoch, row.metric): row.value for row in train_fold(job).measurements}
        for row in result.separate:
            if row.split == "val" and row.fold == model.fold:
                assert row.value == at_training[row.epoch, row.metric]


@pytest.mark.parametrize("weights", ["untrained_trunk", "untrained_trunk_and_embedder", "trained"])
def test_concatenated_are_the_normalised_embeddings_of_all_folds(trained, result, weights):
    parts = [embeddings(trained, model, "test", weights) for model in trained.models]
    expected = measured(torch.cat([F.normalize(points) for points, _ in parts], dim=1), parts[0][1])
    found = {row.metric: row.value for row in result.concatenated if row.weights == weights}
    assert found == pytest.approx(expected, abs=1e-9)
    assert {row.split for row in result.concatenated} == {"test"}  # the other splits differ from fold to fold


def test_an_ensemble_may_join_what_is_not_normalised(trained):
    ensemble = {"ConcatenateEmbeddings": {"normalize_embeddings": False}}
    job = replace(trained, config={**trained.config, "ensemble": ensemble}, splits=("test",), modes=("concatenated",))
    parts = [embeddings(trained, model, "test", "trained") for model in trained.models]
    expected = measured(torch.cat([points for points, _ in parts], dim=1), parts[0][1])
    result = evaluate_models(job)
    assert {row.metric: row.value for row in result.concatenated if row.weights == "trained"} == pytest.approx(expected)
    assert result.separate == ()


def test_an_ensemble_may_join_trunks(trained):
    ensemble = {"ConcatenateEmbeddings": {"use_trunk_output": True}}
    job = replace(trained, config={**trained.config, "ensemble": ensemble}, splits=("test",))
    result = evaluate_models(job)
    values = {row.weights: row.value for row in result.concatenated if row.metric == "map_at_r"}
    assert values["untrained_trunk"] == values["untrained_trunk_and_embedder"]
    assert {row.value for row in result.separate if row.weights == "trained"} == {
        row.value for row in evaluate_models(replace(trained, splits=("test",))).separate if row.weights == "trained"
    }


def test_it_survives_json_and_says_what_it_found(trained, result):
    assert result_from_json(to_json(result)) == result
    lines: list[str] = []
    evaluate_models(replace(trained, splits=("test",)), report=lines.append)
    assert len(lines) == 2 * 3 + 3
    assert lines[0].startswith("fold 0, untrained_trunk: map_at_r 0.")
    assert lines[-1].startswith("concatenated, trained: map_at_r ")


def test_without_untrained_baselines_only_trained_weights_are_measured(trained):
    job = replace(trained, config={**trained.config, "check_untrained_accuracy": False}, splits=("test",))
    result = evaluate_models(job)
    assert {row.weights for row in result.separate} == {row.weights for row in result.concatenated} == {"trained"}


def test_a_best_epoch_of_zero_means_the_untrained_embedder(tmp_path):
    still = {name: {"SGD": {"lr": 0.0}} for name in CONFIG["optimizers"]}
    job = train_folds(tmp_path, optimizers=still, num_epochs_train=2)
    assert [model.best_epoch for model in job.models] == [0, 0]
    values = {(row.fold, row.split, row.weights, row.metric): row.value for row in evaluate_models(job).separate}
    for fold, split, weights, metric in values:
        if weights == "trained":
            assert values[fold, split, weights, metric] == values[fold, split, "untrained_trunk_and_embedder", metric]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_pretrained_trunk_is_the_same_in_all_folds_and_joined_with_itself_stays_what_it_is(tmp_path, frozen):
    """Copies of one embedding side by side have the neighbours of the embedding."""
    models = {"trunk": {named("tiny_trunk"): {"pretrained": True}}, "embedder": {"MLP": {"layer_sizes": [5]}}}
    transforms = {"train": {}, "eval": {}}
    job = train_folds(tmp_path, models=models, freeze_trunk=frozen, transforms=transforms, num_epochs_train=1)
    result = evaluate_models(job)
    joined = {row.metric: row.value for row in result.concatenated if row.weights == "untrained_trunk"}
    alone = [row for row in result.separate if row.weights == "untrained_trunk" and row.split == "test"]
    assert len(alone) == 6
    assert all(row.value == joined[row.metric] for row in alone)


def test_queries_may_be_looked_up_in_references(trained, monkeypatch):
    def folds(config, dataset):
        whole = original(config, dataset)
        items = whole[0].tests["test"].query
        test = TestSet(query=items[::2], reference=items[1::2])
        return [Fold(fold.name, fold.train, fold.val, {"gallery": test}) for fold in whole]

    from powerbench.evaluation import opening

    original = opening.open_folds
    monkeypatch.setattr(opening, "open_folds", folds)
    result = evaluate_models(replace(trained, splits=("gallery",)))
    points, labels = embeddings(trained, trained.models[0], "gallery", "trained")
    queries = len(labels) // 2
    unit = F.normalize(points).double().numpy()
    nearest = [labels[queries + np.argmin(np.linalg.norm(unit[queries:] - query, axis=1))] for query in unit[:queries]]
    expected = np.mean(np.array(nearest) == labels[:queries])
    (row,) = [
        row for row in result.separate if row.metric == "precision_at_1" and (row.fold, row.weights) == (0, "trained")
    ]
    assert row.value == pytest.approx(expected)
    assert {row.split for row in result.concatenated} == {"gallery"}


def test_missing_weights_are_named_with_the_command_that_trains_them_again(trained, tmp_path):
    models = (replace(trained.models[0], folder=str(tmp_path / "exp" / "0" / "fold_0")),)
    with pytest.raises(UserError, match=r"no file .*exp/0/fold_0/trunk_best.pth.*--reproduce_results .*/exp ") as error:
        evaluate_models(replace(trained, models=models))
    assert str(tmp_path / "exp") in str(error.value)


@pytest.mark.parametrize("damage", ["cut", "text", "other model"])
def test_damaged_weights_are_refused(trained, tmp_path, damage):
    model = trained.models[0]
    for name in ("trunk", "embedder"):
        content = (Path(model.folder) / f"{name}_best.pth").read_bytes()
        (tmp_path / f"{name}_best.pth").write_bytes(content)
    path = tmp_path / "embedder_best.pth"
    if damage == "other model":
        torch.save({"net.0.weight": torch.zeros(9, 9), "net.0.bias": torch.zeros(9)}, path)
    else:
        path.write_bytes({"cut": path.read_bytes()[:300], "text": b"no weights"}[damage])
    with pytest.raises(UserError, match=r"embedder_best\.pth"):
        evaluate_models(replace(trained, models=(replace(model, folder=str(tmp_path)),)))


def test_weights_that_are_no_numbers_come_back_as_a_failure(trained, tmp_path):
    model = trained.models[0]
    for name in ("trunk", "embedder"):
        state = torch.load(Path(model.folder) / f"{name}_best.pth", weights_only=True)
        torch.save(
            {key: value * torch.nan if value.is_floating_point() else value for key, value in state.items()},
            tmp_path / f"{name}_best.pth",
        )
    result = evaluate_models(replace(trained, models=(replace(model, folder=str(tmp_path)),)))
    assert result.failure is not None
    assert result.failure.kind == "nan"


@pytest.mark.parametrize(
    ("splits", "modes", "text"),
    [
        (("tset",), ("separate",), "Did you mean test"),
        (("train", "val"), ("concatenated",), "cannot be concatenated"),
    ],
)
def test_splits_that_make_no_sense_are_refused(trained, splits, modes, text):
    with pytest.raises(UserError, match=text):
        evaluate_models(replace(trained, splits=splits, modes=modes))


def test_it_stops_between_batches(trained):
    with pytest.raises(Stopped):
        evaluate_models(trained, should_stop=StopAt(3))
