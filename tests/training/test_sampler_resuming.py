"""Every sampler: training stopped in mid-epoch and resumed sees the batches of an undisturbed run."""

from pathlib import Path

import numpy as np
import pytest

from powerbench.class_folders import own_names
from powerbench.evaluation.opening import FoldRun
from powerbench.jobs import TrainJob
from powerbench.training import train_fold
from powerbench.training.context import EpochContext
from tests.training.interrupting import same, train_interrupted, without_times
from tests.training.test_loop import weights
from tests.training.tiny import named, tiny_job

LEVELS = Path(__file__).parent / "tiny_levels.py"
ARGUMENTS = {
    "RandomSampler": {},
    "FullRandomSampler": {},
    "HierarchicalSampler": {"m": 2},
    "AdaptiveBalancedSampler": {"m": 2, "num_replicas": 2},
    "GreedyCoresetSampler": {"big_batch": 20},
    "D2CoresetSampler": {"big_batch": 20},
    "FIDMatchedSampler": {"big_batch": 20, "candidates": 3},
    "DistanceHistogramMatchedSampler": {"big_batch": 20, "candidates": 3},
}


def job_of(folder: Path, name: str, **changes) -> TrainJob:
    sampler = {name: ARGUMENTS.get(name, {"m": 2})}
    dataset = {named("TinyLevels", LEVELS): {}}
    return tiny_job(folder, dataset=dataset, sampler=sampler, num_epochs_train=3, **changes)


@pytest.fixture
def plans(monkeypatch) -> list[tuple[int, list[list[int]]]]:
    """The epochs that were planned, with their batches."""
    planned = []
    whole = EpochContext.sampler_plan

    def sampler_plan(self, *args, **keys):
        batches = whole(self, *args, **keys)
        planned.append((self.epoch, [batch.positions.tolist() for batch in batches]))
        return batches

    monkeypatch.setattr(EpochContext, "sampler_plan", sampler_plan)
    return planned


@pytest.mark.slow
@pytest.mark.parametrize("name", own_names("sampler"))
def test_a_run_resumed_in_mid_epoch_sees_the_same_batches(tmp_path, plans, name):
    whole, broken = job_of(tmp_path / "whole", name), job_of(tmp_path / "broken", name)
    expected = train_fold(whole)
    assert expected.failure is None
    undisturbed = dict(plans)
    assert list(undisturbed) == [1, 2, 3]
    assert undisturbed[1] != undisturbed[2]
    plans.clear()
    result, stopped = train_interrupted(broken, (5, 9, 8, 12, 13, 16))
    assert stopped >= 3
    assert len(plans) > 3  # some epochs were begun twice
    assert all(batches == undisturbed[epoch] for epoch, batches in plans)
    assert without_times(result) == without_times(expected)
    assert same(weights(broken), weights(whole))


def test_samplers_see_embeddings_as_they_are_compared_and_the_levels_of_their_items(tmp_path, monkeypatch):
    seen = {}

    class Looking:
        def __init__(self, labels, label_levels, batch_size):
            seen.update(labels=labels, levels=label_levels, batch_size=batch_size)

        def plan(self, n, generator, embed):
            seen["points"] = embed()
            return [np.arange(8)] * n

    runs = []
    opened = FoldRun.__enter__
    monkeypatch.setattr(FoldRun, "__enter__", lambda self: (runs.append(self), opened(self))[1])
    monkeypatch.setattr("powerbench.data.samplers.random_sampler.RandomSampler", Looking)
    assert train_fold(job_of(tmp_path, "RandomSampler")).failure is None
    (run,) = runs
    assert seen["points"].shape == (len(run.fold.train), 5)
    np.testing.assert_allclose(np.linalg.norm(seen["points"], axis=1), 1, rtol=1e-5)
    assert np.array_equal(seen["levels"], run.data.dataset.index.labels[run.fold.train])
    assert np.array_equal(np.unique(seen["levels"][:, 0], return_inverse=True)[1], seen["labels"])
    assert seen["batch_size"] == 8


def test_embeddings_that_are_no_numbers_end_the_trial_as_such(tmp_path):
    optimizers = {f"{name}_optimizer": {"SGD": {"lr": 1e30}} for name in ("trunk", "embedder")}
    result = train_fold(job_of(tmp_path, "FIDMatchedSampler", optimizers=optimizers))
    assert result.failure.kind in ("nan", "diverged")


def test_a_dataset_without_the_level_of_super_classes_is_refused(tmp_path):
    job = tiny_job(tmp_path, sampler={"HierarchicalSampler": {"m": 2}})
    with pytest.raises(Exception, match="no label level 1"):
        train_fold(job)
