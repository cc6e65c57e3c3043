"""What every method of powerful-benchmarker must do here: learn, and end at the same bits however often interrupted."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from powerbench.config.schema import ExperimentConfig
from powerbench.evaluation.embedding import embed
from powerbench.evaluation.loaded import load_folds
from powerbench.evaluation.opening import open_data, open_fold_run
from powerbench.evaluation.weights import load_best
from powerbench.jobs import FoldModel
from powerbench.training import checkpoints, train_fold
from tests.methods.other_methods import METHODS, adversarial, job_of
from tests.training.interrupting import last_state, same, train_interrupted, without_times
from tests.training.one_batch import totals_on_one_batch
from tests.training.tiny import tiny_job

TRAINED = {
    "classified": {"metric_loss", "classifier_loss"},
    "cascaded": {"metric_loss_0", "metric_loss_1", "metric_loss_2", "classifier_loss_1"},
    "adversarial": {"metric_loss", "synth_loss", "g_adv_loss", "g_hard_loss", "g_reg_loss"},
    "jointly adversarial": {"metric_loss", "synth_loss", "g_adv_loss", "g_hard_loss", "g_reg_loss"},
    "unsupervised": {"metric_loss", "proxies"},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_fixed_batch_gets_cheaper_and_every_tensor_has_a_gradient(tmp_path, name):
    totals = totals_on_one_batch(job_of(name, tmp_path), epoch=3)
    assert totals[-1] < totals[0]


@pytest.mark.parametrize("name", METHODS)
def test_each_trains_from_its_config_alone_and_keeps_trunk_and_embedder(tmp_path, name):
    job = job_of(name, tmp_path)
    result = train_fold(job)
    assert result.failure is None
    assert {row.name for row in result.losses} == {"total_loss", *TRAINED[name]}
    files = {path.name: torch.load(path, weights_only=True) for path in Path(job.folder).glob("*.pth")}
    assert set(files) == {"trunk_best.pth", "embedder_best.pth"}
    levels = 3 if name == "cascaded" else 1
    assert len(files["embedder_best.pth"]) == 2 * levels  # weight and bias of each


@pytest.mark.parametrize("name", METHODS)
def test_a_trained_model_is_whole_without_its_heads(tmp_path, name):
    """Loaded without data, from the two files that are kept, it gives the embeddings that validation measured."""
    job = job_of(name, tmp_path, num_epochs_train=1)
    best = train_fold(job).best_epoch
    config = ExperimentConfig.from_plain(job.config)
    with open_fold_run(config, job.places, open_data(config, job.places), 0, job.seed) as run:
        load_best({part: run.module(part) for part in ("trunk", "embedder")}, job.folder)
        expected = embed(run.model, run.inputs, run.fold.val, batch_size=64)[None]
        (loaded,) = load_folds(config, job.places, [FoldModel(0, job.seed, job.folder, best)])
        ((images,),) = run.inputs.batches([run.fold.val], part="eval")
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images), F.normalize(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_interrupted_it_ends_at_the_same_bits(tmp_path, monkeypatch, name):
    monkeypatch.setattr(checkpoints, "remove_checkpoint", lambda folder: None)
    whole, broken = (job_of(name, tmp_path / folder) for folder in ("whole", "broken"))
    expected = train_fold(whole)
    result, stopped = train_interrupted(broken, (5, 8, 5, 9, 4, 6, 12))
    assert stopped >= 4
    assert without_times(result) == without_times(expected)
    assert same(last_state(Path(broken.folder)), last_state(Path(whole.folder)))


@pytest.mark.parametrize("name", ["classified", "adversarial", "unsupervised"])
def test_a_frozen_trunks_features_do_as_well(tmp_path, name):
    changes = {"transforms": {"train": {}, "eval": {}}} if name != "unsupervised" else {"views": 3}
    result = train_fold(job_of(name, tmp_path, freeze_trunk=True, **changes))
    assert result.failure is None


def test_a_frozen_trunks_layers_are_kept_side_by_side(tmp_path):
    frozen = job_of("cascaded", tmp_path, freeze_trunk=True, transforms={"train": {}, "eval": {}})
    result = train_fold(frozen)
    assert result.failure is None
    assert len(list((tmp_path / "cache/features").glob("*.npy"))) == 1


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["cascaded", "adversarial"])
def test_reduced_precision_trains(tmp_path, name, precision):
    result = train_fold(job_of(name, tmp_path, precision=precision, num_epochs_train=3))
    assert result.failure is None


def test_the_sides_of_an_adversarial_method_take_turns_as_configured(tmp_path):
    losses = train_fold(tiny_job(tmp_path, **adversarial())).losses
    by_epoch = {epoch: {row.name for row in losses if row.epoch == epoch} for epoch in (1, 2, 3)}
    generator = {"g_adv_loss", "g_hard_loss", "g_reg_loss", "total_loss"}
    assert by_epoch == {1: {"metric_loss", "total_loss"}, 2: generator, 3: {"metric_loss", "synth_loss", *generator}}
