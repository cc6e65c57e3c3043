import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from powerbench.config.schema import ExperimentConfig, GlobalEmbeddingSpaceTester
from powerbench.errors import Stopped, UserError
from powerbench.evaluation.embedding import NotFinite, check_finite, embed, measurable, reduce_dimensions
from powerbench.evaluation.model import Stopwatch, choose_device
from powerbench.evaluation.opening import open_data, open_fold_run
from powerbench.evaluation.stopping import poller
from powerbench.jobs import PINNED_TO
from tests.training.tiny import named, tiny_job

TESTER = GlobalEmbeddingSpaceTester.model_validate({"GlobalEmbeddingSpaceTester": {}})
RAW = GlobalEmbeddingSpaceTester.model_validate({"GlobalEmbeddingSpaceTester": {"normalize_embeddings": False}})


def points(count=30, size=8, seed=0):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)) * 3 + 1


@pytest.fixture
def run(tmp_path):
    models = {"trunk": {named("tiny_trunk"): {"dropout": 0.5}}, "embedder": {"MLP": {"layer_sizes": [5]}}}
    job = tiny_job(tmp_path, models=models)
    config = ExperimentConfig.from_plain(job.config)
    with open_fold_run(config, job.places, open_data(config, job.places), 0, 3) as opened:
        yield opened


def test_outputs_are_those_of_one_pass_over_the_items_in_order(run):
    items = np.array([5, 70, 3, 12, 40, 41, 9])
    found = embed(run.model, run.inputs, items, batch_size=3, outputs=(None, "pooled", "embedding"))
    images = torch.stack([torch.from_numpy(np.array(run.data.dataset.image(item))) for item in items])
    spec = run.model.trunk.input
    inputs = (images.permute(0, 3, 1, 2) / 255 - torch.tensor(spec.mean)[:, None, None]) / torch.tensor(spec.std)[
        :, None, None
    ]
    network = run.model.trunk.eval()
    with torch.no_grad():
        pooled = network(inputs)["pooled"]
        expected = run.model.method.modules["embedder"](pooled)
    torch.testing.assert_close(found["pooled"], pooled)
    torch.testing.assert_close(found[None], expected)
    assert torch.equal(found[None], found["embedding"])
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


def test_it_leaves_the_model_as_it_was_and_its_outputs_can_be_learned_from(run):
    run.model.train()
    before = {name: value.clone() for name, value in run.model.trunk.state_dict().items()}
    found = embed(run.model, run.inputs, np.arange(10), batch_size=4)[None]
    assert run.model.training
    assert run.model.trunk.training
    assert all(torch.equal(value, before[name]) for name, value in run.model.trunk.state_dict().items())
    weight = torch.ones(5, requires_grad=True)
    (found @ weight).sum().backward()  # tensors made in inference mode could not be saved for this
    torch.testing.assert_close(weight.grad, found.sum(0))


def test_frozen_batch_norm_keeps_its_statistics_and_dropout_is_only_for_training(run):
    run.model.train()
    norm, dropout = run.model.trunk.network[1], run.model.trunk.network[5]
    assert (norm.training, dropout.training) == (False, True)
    run.model.train(False)
    assert (norm.training, dropout.training) == (False, False)


def test_a_stop_takes_effect_between_batches(run):
    calls = []
    poll = poller(lambda: len(calls) == 2 or calls.append(1))
    with pytest.raises(Stopped):
        embed(run.model, run.inputs, np.arange(10), batch_size=2, poll=poll)
    assert len(calls) == 2


def test_embeddings_are_normalised_unless_the_tester_says_otherwise():
    given = points()
    expected = given / given.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(measurable(given, TESTER, pca=None), expected, rtol=1e-6)
    np.testing.assert_array_equal(measurable(given, RAW, pca=None), given)


@pytest.mark.parametrize(("count", "size", "components"), [(30, 8, 3), (30, 8, 8), (6, 20, 4)])
def test_pca_equals_scikit_learns_up_to_signs(count, size, components):
    given = points(count, size).numpy()
    expected = PCA(components).fit_transform(StandardScaler().fit_transform(given))
    found = reduce_dimensions(given, components)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-3, atol=1e-4)
    distances = np.linalg.norm(
        measurable(torch.from_numpy(given), TESTER, pca=components)[:, None]
        - measurable(torch.from_numpy(given), TESTER, pca=components),
        axis=2,
    )
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(distances, np.linalg.norm(unit[:, None] - unit, axis=2), atol=1e-3)


def test_pca_of_constant_columns_and_of_too_many_components():
    given = points().numpy()
    given[:, 2] = 4.0
    assert np.isfinite(reduce_dimensions(given, 3)).all()
    with pytest.raises(UserError, match="9 components cannot be taken from 30 embeddings of 8 dimensions"):
        reduce_dimensions(given, 9)


@pytest.mark.parametrize(
    ("value", "kind"), [(float("nan"), "nan"), (float("inf"), "diverged"), (1e25, "diverged"), (1e15, None)]
)
def test_embeddings_that_cannot_be_compared_are_refused(value, kind):
    given = points()
    given[4, 2] = value
    if kind is None:
        check_finite(given)
        return
    with pytest.raises(NotFinite) as error:
        measurable(given, TESTER, pca=None)
    assert error.value.kind == kind


def test_a_stopwatch_counts_nested_blocks_once(monkeypatch):
    now = iter([1.0, 5.0, 10.0, 11.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    watch = Stopwatch()
    with watch, watch:
        pass
    with watch:
        pass
    assert watch.seconds == 4.0 + 1.0


def test_a_worker_pinned_to_a_gpu_that_is_not_there_does_not_compute_on_the_cpu(tmp_path, monkeypatch):
    config = ExperimentConfig.from_plain({**tiny_job(tmp_path).config, "device": "auto"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(config).type == "cpu"
    monkeypatch.setenv(PINNED_TO, "7")
    with pytest.raises(UserError, match="no GPU 7"):
        choose_device(config)
