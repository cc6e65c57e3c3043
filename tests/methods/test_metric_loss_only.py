import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses, miners
from torch import nn

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError
from powerbench.methods.building import build_method
from powerbench.methods.contract import Batch, FoldFacts
from powerbench.methods.metric_loss_only import MetricLossOnly
from powerbench.methods.plain_state import load_plain_state, plain_state
from tests.training.tiny import CONFIG, trainer

PARTS = f"{__file__.rpartition('/')[0]}/user_parts.py"
WIDTH, SIZE, CLASSES = 6, 5, 4
LABELS = torch.arange(CLASSES).repeat_interleave(4)


def method_of(weights=None, miners=None, **loss_funcs):
    config = ExperimentConfig.from_plain(
        {**CONFIG, "loss_funcs": loss_funcs, "mining_funcs": miners or {}, "trainer": trainer(loss_weights=weights)}
    )
    names = tuple(f"class {n}" for n in range(CLASSES))
    facts = FoldFacts({"pooled": WIDTH}, LABELS.numpy(), names, embedder_seed=3)
    method = build_method(config, facts, nn.Identity(), seed=7)
    assert isinstance(method, MetricLossOnly)
    return method


def features(seed=0):
    return torch.randn(len(LABELS), WIDTH, generator=torch.Generator().manual_seed(seed))


def update_of(method, seed=0):
    batch = Batch(torch.arange(len(LABELS)), LABELS, (), "", 1, 0)
    (update,) = method.losses(batch, [{"pooled": features(seed)}])
    return update


def embeddings_of(method, seed=0):
    return method.modules["embedder"](features(seed))


def test_a_loss_sees_the_embedders_raw_output_and_the_dense_labels():
    method = method_of(metric_loss={"TripletMarginLoss": {"margin": 0.2}})
    update = update_of(method)
    expected = losses.TripletMarginLoss(margin=0.2)(embeddings_of(method), LABELS)
    assert list(update.losses) == ["metric_loss"]
    assert torch.equal(update.losses["metric_loss"], expected)
    assert not torch.allclose(embeddings_of(method).norm(dim=1), torch.ones(len(LABELS)))
    assert torch.equal(method.embeddings({"pooled": features()})["embedding"], embeddings_of(method))


def test_a_contrastive_loss_equals_its_definition():
    """Means over the pairs with a loss, L2 distances of normalised embeddings."""
    method = method_of(metric_loss={"ContrastiveLoss": {"pos_margin": 0.1, "neg_margin": 0.9}})
    points = F.normalize(embeddings_of(method)).detach().double().numpy()
    positive, negative = [], []
    for i in range(len(points)):
        for j in range(len(points)):
            distance = np.linalg.norm(points[i] - points[j])
            if i != j and LABELS[i] == LABELS[j]:
                positive.append(max(0.0, distance - 0.1))
            elif LABELS[i] != LABELS[j]:
                negative.append(max(0.0, 0.9 - distance))
    expected = sum(np.mean([value for value in values if value > 0]) for values in (positive, negative))
    assert update_of(method).losses["metric_loss"].item() == pytest.approx(expected, rel=1e-4)


def test_nested_distances_reducers_and_regularisers_are_built():
    spec = {
        "ContrastiveLoss": {
            "pos_margin": 1,
            "neg_margin": 0,
            "distance": {"CosineSimilarity": {}},
            "reducer": {"MeanReducer": {}},
            "embedding_regularizer": {"LpRegularizer": {"p": 2}},
        }
    }
    method = method_of(metric_loss=spec)
    points = F.normalize(embeddings_of(method))
    similarity = points @ points.T
    alike = (LABELS[:, None] == LABELS) & ~torch.eye(len(LABELS), dtype=torch.bool)
    expected = (1 - similarity[alike]).relu().mean() + similarity[LABELS[:, None] != LABELS].relu().mean()
    expected = expected + embeddings_of(method).norm(dim=1).mean()
    assert update_of(method).losses["metric_loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_of_a_loss_start_as_the_config_says_and_are_regularised():
    spec = {
        "ProxyNCALoss": {
            "softmax_scale": 2,
            "weight_init_func": {"uniform_": {"a": 1, "b": 3}},
            "weight_regularizer": {"LpRegularizer": {"p": 1}},
            "weight_reg_weight": 0.5,
        }
    }
    method = method_of(metric_loss=spec)
    proxies = method.modules["metric_loss"].proxies.detach()
    assert 1 <= proxies.min() < proxies.max() <= 3
    unit, points = F.normalize(proxies).double(), F.normalize(embeddings_of(method)).detach().double()
    scores = -2 * torch.cdist(points, unit).square()
    nca = F.cross_entropy(scores, LABELS)
    expected = nca + 0.5 * proxies.double().abs().sum(1).mean()
    assert update_of(method).losses["metric_loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_several_losses_are_weighted_and_each_may_have_its_miner():
    method = method_of(
        weights={"second": 0.25},
        miners={"tuple_miner": {"BatchHardMiner": {}}, "second_miner": {"MultiSimilarityMiner": {"epsilon": 0.3}}},
        first={"TripletMarginLoss": {}},
        second={"MultiSimilarityLoss": {}},
        third={"ContrastiveLoss": {}},
    )
    update, points = update_of(method), embeddings_of(method)
    hard = miners.BatchHardMiner()(points, LABELS)
    similar = miners.MultiSimilarityMiner(epsilon=0.3)(points, LABELS)
    assert update.weights == {"second": 0.25}
    assert torch.equal(update.losses["first"], losses.TripletMarginLoss()(points, LABELS, hard))
    assert torch.equal(update.losses["second"], losses.MultiSimilarityLoss()(points, LABELS, similar))
    assert torch.equal(update.losses["third"], losses.ContrastiveLoss()(points, LABELS, hard))


def test_a_subset_miner_reduces_the_batch_before_the_others_see_it():
    method = method_of(
        miners={"subset_batch_miner": {f"{PARTS}:EverySecond": {}}, "tuple_miner": {f"{PARTS}:Recorder": {}}},
        metric_loss={"ContrastiveLoss": {}},
    )
    update, points = update_of(method), embeddings_of(method)
    assert torch.equal(update.losses["metric_loss"], losses.ContrastiveLoss()(points[::2], LABELS[::2]))
    assert method.metric_losses.miners["tuple_miner"].sizes == [len(LABELS) // 2]


def test_sizes_are_filled_in_where_they_are_taken():
    method = method_of(
        proxies={"ProxyNCALoss": {}},
        margin={"MarginLoss": {"learn_beta": True}},
        one={"MarginLoss": {"num_classes": None, "learn_beta": True}},
    )
    assert method.modules["proxies"].proxies.shape == (CLASSES, SIZE)
    assert method.modules["margin"].beta.shape == (CLASSES,)
    assert method.modules["one"].beta.shape == (1,)
    assert list(method.param_groups()) == ["embedder", "proxies", "margin", "one"]
    assert not method_of(metric_loss={"ContrastiveLoss": {}}).param_groups().keys() - {"embedder"}


def test_equal_seeds_give_equal_proxies_and_the_embedder_does_not_depend_on_the_loss():
    first, second = (method_of(metric_loss={"ProxyNCALoss": {}}) for _ in range(2))
    other = method_of(metric_loss={"ContrastiveLoss": {}})
    assert torch.equal(first.modules["metric_loss"].proxies, second.modules["metric_loss"].proxies)
    assert torch.equal(embeddings_of(first), embeddings_of(other))


UNSUITABLE = {
    "BaseMetricLossFunction": "a base class",
    "BaseLossWrapper": "a base class",
    "GenericPairLoss": "a base class",
    "WeightRegularizerMixin": "no loss",
    "EmbeddingRegularizerMixin": "no loss",
    "WeightMixin": "no loss",
    "MultipleLosses": "several losses are written as several entries of loss_funcs",
    "ManifoldLoss": "takes no labels",
    "SelfSupervisedLoss": "takes reference embeddings instead of labels",
    "VICRegLoss": "takes reference embeddings instead of labels",
}
NEEDED = {
    "CrossBatchMemory": {"loss": {"ContrastiveLoss": {}}},
    "RankedListLoss": {"margin": 0.4, "Tn": 1},
}


def library_losses():
    return [name for name, value in vars(losses).items() if inspect.isclass(value) and name not in UNSUITABLE]


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # the library's HistogramLoss
@pytest.mark.parametrize("name", library_losses())
def test_every_supervised_loss_of_the_library_trains_the_embedder(name):
    method = method_of(metric_loss={name: NEEDED.get(name, {})})
    torch.manual_seed(0)
    loss = update_of(method).losses["metric_loss"]
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in method.modules["embedder"].parameters())


@pytest.mark.parametrize(
    "name",
    [
        "BatchEasyHardMiner",
        "BatchHardMiner",
        "DistanceWeightedMiner",
        "MultiSimilarityMiner",
        "PairMarginMiner",
        "TripletMarginMiner",
        "AngularMiner",
        "HDCMiner",
        "UniformHistogramMiner",
    ],
)
def test_every_kind_of_miner_serves_a_pair_loss_and_a_triplet_loss(name):
    torch.manual_seed(0)
    needed = {"UniformHistogramMiner": {"distance": {"LpDistance": {}}}}
    method = method_of(
        miners={"tuple_miner": {name: needed.get(name, {})}},
        pair={"ContrastiveLoss": {}},
        triplet={"TripletMarginLoss": {}},
    )
    assert all(torch.isfinite(loss) for loss in update_of(method).losses.values())


def test_what_a_loss_remembers_is_saved_and_restored_whole():
    spec = {"CrossBatchMemory": {"loss": {"ContrastiveLoss": {}}, "memory_size": 24}}
    first, second = method_of(metric_loss=spec), method_of(metric_loss=spec)
    for seed in range(3):
        update_of(first, seed)
    second.load_state(first.state())
    second.modules.load_state_dict(first.modules.state_dict())
    memory = second.modules["metric_loss"]
    assert (memory.queue_idx, memory.has_been_filled) == (3 * len(LABELS) % 24, True)
    assert torch.equal(update_of(second, 3).losses["metric_loss"], update_of(first, 3).losses["metric_loss"])


def test_plain_state_leaves_parameters_and_other_objects_alone():
    part = nn.Linear(2, 2)
    part.count, part.name, part.helper = 3, "x", object()
    other = nn.Sequential(nn.Linear(2, 2))
    load_plain_state(other, plain_state(nn.Sequential(part)))
    assert (other[0].count, other[0].name) == (3, "x")
    assert not hasattr(other[0], "helper")
    assert not torch.equal(other[0].weight, part.weight)


def test_half_precision_embeddings_reach_the_loss_in_float32():
    method = method_of(metric_loss={f"{PARTS}:KeepsItsInput": {}})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        update_of(method)
    assert method.modules["metric_loss"].dtypes == (torch.float32, torch.float32)


MISTAKES = {
    "a miner of no loss": ({"miners": {"tuple_minor": {"BatchHardMiner": {}}}}, "Did you mean tuple_miner"),
    "a weight of no loss": ({"weights": {"metric_los": 2.0}}, "Did you mean metric_loss"),
    "a loss named like a model": ({"embedder": {"ContrastiveLoss": {}}}, "name of another module"),
    "another embedding size": ({"more": {"ProxyNCALoss": {"embedding_size": 64}}}, "64.*5 dimensions"),
    "a loss without labels": ({"more": {"VICRegLoss": {}}}, "VICRegLoss does not learn from labels"),
    "a loss that does not exist": ({"more": {"ContrastivLoss": {}}}, "Did you mean ContrastiveLoss"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_refused(case):
    changes, text = MISTAKES[case]
    with pytest.raises(UserError, match=text):
        method_of(metric_loss={"ContrastiveLoss": {}}, **changes)
