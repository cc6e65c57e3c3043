import math

import pytest
import torch
import torch.nn.functional as F

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError
from powerbench.methods.cascaded_embeddings import CascadedEmbeddings
from tests.methods.building_methods import LABELS, SIZE, WIDTH, features, method_of, updates_of
from tests.methods.other_methods import OPTIMIZERS, cascaded
from tests.methods.test_metric_loss_only import PARTS
from tests.training.tiny import CONFIG, trainer

WIDTHS = {"1": 7, "2": 6, "5": 9}
OUTPUTS = {"pooled": features(9), **{name: features(seed, width) for seed, (name, width) in enumerate(WIDTHS.items())}}


def hardest(pairs, distance, share, *, far):
    """The share of pairs that are hardest: the farthest of one class, the nearest of different ones."""
    ranked = sorted(pairs, key=lambda pair: distance[pair].item(), reverse=far)
    return ranked[: math.ceil(share * len(pairs))]


def contrastive(distance, same, different, neg_margin):
    """The means of the terms above zero."""
    terms = [[distance[pair] for pair in same], [F.relu(neg_margin - distance[pair]) for pair in different]]
    return sum(torch.stack([term for term in part if term > 0]).mean() for part in terms)


def test_each_level_trains_on_the_pairs_that_the_levels_before_found_hard():
    method = method_of(WIDTHS, **cascaded())
    (update,) = updates_of(method, OUTPUTS)
    same = [(i, j) for i in range(16) for j in range(16) if i != j and LABELS[i] == LABELS[j]]
    different = [(i, j) for i in range(16) for j in range(16) if LABELS[i] != LABELS[j]]
    for level, margin in ((0, 1.0), (1, 0.8)):
        points = F.normalize(method.modules["embedder"](OUTPUTS)[level].detach().double())
        distance = torch.cdist(points, points)
        same, different = hardest(same, distance, 0.6, far=True), hardest(different, distance, 0.6, far=False)
        expected = contrastive(distance, same, different, margin)
        assert update.losses[f"metric_loss_{level}"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert len(same) == math.ceil(0.6 * math.ceil(0.6 * 48))
    level_1 = method.modules["embedder"](OUTPUTS)[1]
    expected = F.cross_entropy(method.modules["classifier_1"](level_1), LABELS)
    assert torch.equal(update.losses["classifier_loss_1"], expected)


def test_the_levels_side_by_side_are_measured():
    method = method_of(WIDTHS, **cascaded())
    found = method.embeddings(OUTPUTS)
    assert list(found) == ["joined", "level_0", "level_1", "level_2"]
    assert found["joined"].shape == (len(LABELS), 3 * SIZE)
    assert torch.equal(found["joined"], torch.cat([found[f"level_{n}"] for n in range(3)], dim=1))
    assert method.needs.trunk_outputs == ("pooled", "1", "2", "5")
    names = [f"list_of_models.{n}.net.0.{part}" for n in range(3) for part in ("weight", "bias")]
    assert list(method.modules["embedder"].state_dict()) == names  # powerful-benchmarker's


def test_without_layers_all_levels_read_the_pooled_features_with_weights_of_their_own():
    two = {f"metric_loss_{level}": "ContrastiveLoss" for level in (0, 1)}
    changes = cascaded(
        layers_to_extract=[], loss_funcs=two, models=CONFIG["models"], mining_funcs={}, optimizers=OPTIMIZERS
    )
    method = method_of(**changes)
    first, second = method.modules["embedder"](OUTPUTS)
    assert first.shape == second.shape == (len(LABELS), SIZE)
    assert not torch.allclose(first, second)
    alone = method_of()  # MetricLossOnly's embedder
    assert torch.equal(first, alone.modules["embedder"](OUTPUTS["pooled"]))
    assert method.check(ExperimentConfig.from_plain({**CONFIG, **changes})).joined_embedders == 2


def test_levels_may_share_the_size_of_one_embedder():
    settings = trainer("CascadedEmbeddings", share_embedding_size=True)
    models = {**cascaded()["models"], "embedder": {"MLP": {"layer_sizes": [8, 12]}}}
    method = method_of(WIDTHS, **cascaded(trainer=settings, models=models))
    assert [level.shape[1] for level in method.modules["embedder"](OUTPUTS)] == [4, 4, 4]
    config = ExperimentConfig.from_plain({**CONFIG, **cascaded(trainer=settings, models=models)})
    assert CascadedEmbeddings.check(config).joined_embedders == 1


def test_a_subset_miner_looks_at_the_joined_embedding_and_other_miners_at_their_level():
    miners = {"subset_batch_miner": {f"{PARTS}:EverySecond": {}}, "tuple_miner_0": {f"{PARTS}:Recorder": {}}}
    method = method_of(WIDTHS, **cascaded(mining_funcs=miners))
    updates_of(method, OUTPUTS)
    assert method.miners["tuple_miner_0"].sizes == [len(LABELS) // 2]


MISTAKES = {
    "a loss of no level": ({"loss_funcs": {"metric_loss": "ContrastiveLoss"}}, "Did you mean metric_loss_0"),
    "a level without a loss": ({"loss_funcs": {f"metric_loss_{n}": "ContrastiveLoss" for n in (0, 2)}}, "level 1"),
    "too few layers": ({"layers_to_extract": ["1"]}, "3 levels, but 1 layers"),
    "a miner of no level": ({"mining_funcs": {"tuple_miner": "HDCMiner"}}, "Did you mean tuple_miner_"),
    "a classifier of no level": ({"models": {**CONFIG["models"], "classifier": "MLP"}}, "Did you mean classifier_"),
    "sizes that cannot be shared": (
        {"trainer": trainer("CascadedEmbeddings", share_embedding_size=True)},
        "a multiple of the 3 levels",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_refused(case):
    changes, text = MISTAKES[case]
    with pytest.raises(UserError, match=text):
        method_of({**WIDTHS, "pooled": WIDTH}, **cascaded(**changes))
