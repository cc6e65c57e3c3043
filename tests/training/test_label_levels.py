"""A dataset with several label levels: which level losses, samplers and evaluation use, and that they say so."""

from pathlib import Path

import numpy as np
import pytest
import torch

from powerbench.config.schema import ExperimentConfig
from powerbench.datasets.opening import open_dataset
from powerbench.errors import UserError
from powerbench.evaluation.opening import open_data, open_fold_run
from powerbench.evaluation.splits import measure_split, train_or_val
from powerbench.training import train_fold
from powerbench.training.context import EpochContext
from tests.training.tiny import CONFIG, named, tiny_job, trainer

DATASET = {named("TinyLevels", Path(__file__).parent / "tiny_levels.py"): {}}
PROXIES = {
    "loss_funcs": {"metric_loss": {"ProxyNCALoss": {}}},
    "optimizers": {**CONFIG["optimizers"], "metric_loss_optimizer": {"SGD": {"lr": 0.1}}},
}


def measured_at(level):
    return {"GlobalEmbeddingSpaceTester": {"dataloader_num_workers": 0, "label_hierarchy_level": level}}


def job_of(folder, training=0, evaluation=0, **changes):
    settings = trainer(label_hierarchy_level=training)
    return tiny_job(folder, dataset=DATASET, trainer=settings, tester=measured_at(evaluation), **{**PROXIES, **changes})


@pytest.mark.parametrize(("level", "classes"), [(0, 6), (1, 3)])
def test_losses_and_samplers_get_the_labels_of_the_trainers_level(tmp_path, level, classes):
    job = job_of(tmp_path, level)
    config = ExperimentConfig.from_plain(job.config)
    with open_fold_run(config, job.places, open_data(config, job.places), 0, seed=1) as run:
        index = run.data.dataset.index
        expected = np.unique(index.labels[run.fold.train, level], return_inverse=True)[1]
        assert np.array_equal(run.facts.labels, expected)
        assert run.model.method.modules["metric_loss"].proxies.shape[0] == classes
        assert run.facts.class_names[0] == ("class 6" if level == 0 else "first")
        plan = EpochContext(config, run, 1, 1, lambda: None).sampler_plan()
        for batch in plan:
            assert sorted(np.bincount(expected[batch.positions]).tolist())[-2:] == [4, 4]  # m is 4, the batch 8


def test_evaluation_uses_the_labels_of_the_testers_level(tmp_path):
    job = job_of(tmp_path)
    config = ExperimentConfig.from_plain(job.config)
    data = open_data(config, job.places)
    split = train_or_val(data.folds[0], "val")
    embeddings = torch.from_numpy(data.dataset.index.labels[split.items]).float() + 1.0
    embeddings[:, 0] = 0.5  # alike within a super-class, and to nothing else
    values = {}
    for level in (0, 1):
        other = ExperimentConfig.from_plain({**job.config, "tester": measured_at(level), "ties": "expected"})
        unit = torch.nn.functional.one_hot(embeddings[:, 1].long()).float()
        values[level] = measure_split(other, data.dataset.index, split, unit, pca=None)["precision_at_1"]
    assert values[1] == 1.0
    assert 0 < values[0] < 0.9


def test_the_level_of_training_and_that_of_evaluation_change_the_numbers(tmp_path):
    values = {
        (training, evaluation): train_fold(
            job_of(tmp_path / f"{training}{evaluation}", training, evaluation)
        ).best_value
        for training in (0, 1)
        for evaluation in (0, 1)
    }
    assert len(set(values.values())) == 4


@pytest.mark.parametrize(("training", "evaluation", "where"), [(2, 0, "trainer"), (0, 7, "tester")])
def test_a_level_that_does_not_exist_is_refused(tmp_path, training, evaluation, where):
    job = job_of(tmp_path, training, evaluation)
    config = ExperimentConfig.from_plain(job.config)
    with pytest.raises(UserError, match=rf"^{where}: label_hierarchy_level {training or evaluation} .* has 2 levels"):
        open_dataset(config, job.places)
