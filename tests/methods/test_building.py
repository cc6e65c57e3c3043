import numpy as np

from powerbench.config.schema import ExperimentConfig
from powerbench.methods.building import fold_facts
from powerbench.seeding import seed_of
from split_managers.contract import DatasetIndex, Fold
from tests.training.tiny import CONFIG, trainer

INDEX = DatasetIndex(
    labels=np.array([[4, 0], [2, 1], [4, 1], [0, 0], [2, 0]]),
    class_names=(("a", "b", "c", "d", "e"), ("even", "odd")),
    item_names=tuple("vwxyz"),
)
FOLD = Fold("f_0", train=np.array([4, 2, 0]), val=np.array([3]), tests={})


def facts(level):
    config = ExperimentConfig.from_plain({**CONFIG, "trainer": trainer(label_hierarchy_level=level)})
    return fold_facts(config, INDEX, FOLD, {"pooled": 9}, seed=5)


def test_labels_are_dense_and_in_the_order_of_the_training_part():
    found = facts(level=0)
    assert found.labels.tolist() == [0, 1, 1]
    assert found.class_names == ("c", "e")
    assert found.classes == 2
    assert found.widths == {"pooled": 9}
    assert found.embedder_seed == seed_of(run=5, purpose="embedder")


def test_labels_may_be_those_of_another_level():
    found = facts(level=1)
    assert found.labels.tolist() == [0, 1, 0]
    assert found.class_names == ("even", "odd")
