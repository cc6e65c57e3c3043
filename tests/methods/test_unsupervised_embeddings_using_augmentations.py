import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss

from powerbench.config.schema import ExperimentConfig
from powerbench.errors import UserError
from powerbench.evaluation.opening import open_data, open_fold_run
from powerbench.training import train_fold
from powerbench.training.context import EpochContext
from tests.methods.building_methods import LABELS, features, method_of, updates_of
from tests.methods.other_methods import unsupervised
from tests.training.tiny import CONFIG, tiny_job

ITEMS = len(LABELS)


def test_the_views_of_an_item_are_one_class_and_other_items_are_others():
    method = method_of(**unsupervised())
    views = [{"pooled": features(seed)} for seed in range(3)]
    (update,) = updates_of(method, *views)
    embeddings = torch.cat([method.modules["embedder"](view["pooled"]) for view in views])
    expected = NTXentLoss(temperature=0.2)(embeddings, torch.arange(ITEMS).repeat(3))
    assert torch.allclose(update.losses["metric_loss"], expected, rtol=1e-5)
    assert method.modules["proxies"].proxies.shape[0] == ITEMS
    assert method.needs.views == 3


def test_items_are_drawn_without_regard_to_their_classes(tmp_path):
    config = ExperimentConfig.from_plain(tiny_job(tmp_path, **unsupervised()).config)
    job = tiny_job(tmp_path, **unsupervised())
    with open_fold_run(config, job.places, open_data(config, job.places), 0, seed=1) as run:
        plan = run.model.method.plan_epoch(EpochContext(config, run, 1, 1, lambda: None))
        (views,) = run.inputs.batches([run.fold.train[plan[0].positions]], part="train", views=3)
    assert [len(set(batch.positions.tolist())) for batch in plan] == [8, 8, 8]
    drawn = np.concatenate([batch.positions for batch in plan])
    assert len(set(drawn[:18].tolist())) == 18  # a pass over all items
    classes = [np.bincount(run.facts.labels[batch.positions]) for batch in plan]
    assert any(count not in (0, 4) for counts in classes for count in counts)  # MPerClassSampler's m is 4
    assert [tuple(view.shape[1:]) for view in views] == [(3, 8, 8), (3, 8, 8), (3, 6, 6)]
    assert not torch.equal(views[0], views[1])


def test_a_sampler_that_has_no_effect_is_named():
    config = ExperimentConfig.from_plain({**CONFIG, **unsupervised()})
    (remark,) = method_of(**unsupervised()).check(config).remarks
    assert remark.startswith("sampler has no effect")
    random = ExperimentConfig.from_plain({**CONFIG, **unsupervised(sampler={"RandomSampler": {}})})
    assert not method_of(**unsupervised()).check(random).remarks


@pytest.mark.parametrize("recipes", [{}, {"augmentation1": {}}])
def test_one_view_is_not_enough(recipes):
    with pytest.raises(UserError, match=r"two or more views.*\[default, unsupervised\]"):
        method_of(**unsupervised(transforms={"train": {}, "eval": {}, **recipes}))


def test_recipes_of_views_that_the_method_does_not_look_at_are_refused(tmp_path):
    views = unsupervised()["transforms"]
    with pytest.raises(UserError, match=r"recipes for 3 views .* but MetricLossOnly looks at one"):
        train_fold(tiny_job(tmp_path, transforms=views))
