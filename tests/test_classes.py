import subprocess
import sys
from types import MappingProxyType, SimpleNamespace

import pytest

from powerbench import class_folders, classes
from powerbench.classes import accepts, build, check_arguments, class_names, find_class, parse_spec, user_file
from powerbench.errors import UserError


def spec(name, **args):
    return SimpleNamespace(name=name, args=MappingProxyType(args))


def refusal(function, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "module"),
    [
        ("loss", "ContrastiveLoss", "pytorch_metric_learning.losses"),
        ("miner", "MultiSimilarityMiner", "pytorch_metric_learning.miners"),
        ("distance", "LpDistance", "pytorch_metric_learning.distances"),
        ("reducer", "MeanReducer", "pytorch_metric_learning.reducers"),
        ("regularizer", "LpRegularizer", "pytorch_metric_learning.regularizers"),
        ("sampler", "MPerClassSampler", "powerbench.data.samplers"),
        ("dataset", "Emoji200", "powerbench.datasets"),
        ("split_manager", "MLRCSplitManager", "split_managers"),
        ("embedder", "MLP", "powerbench.models.embedders"),
        ("transform", "Resize", "torchvision.transforms.v2"),
        ("transform", "ConvertToBGR", "powerbench.data.transforms"),
        ("optimizer", "RMSprop", "torch.optim"),
        ("scheduler", "StepLR", "torch.optim.lr_scheduler"),
        ("weight_init_func", "kaiming_normal_", "torch.nn.init"),
        ("trunk", "bninception", "powerbench.models.trunks"),
        ("trunk", "resnet18", "torchvision.models"),
        ("method", "MetricLossOnly", "powerbench.methods"),
    ],
)
def test_a_class_is_found_by_name_where_it_lives(kind, name, module):
    found = find_class(kind, name)
    assert found.__name__ == name
    assert found.__module__.startswith(module)
    assert name in class_names(kind)


def test_a_timm_trunk_is_found_by_its_name_there():
    assert callable(find_class("trunk", "resnest14d"))
    assert callable(find_class("trunk", "resnet18.a1_in1k"))


@pytest.mark.parametrize(
    ("kind", "typo", "meant"),
    [
        ("loss", "ContrastivLoss", "ContrastiveLoss"),
        ("optimizer", "RMSProp", "RMSprop"),
        ("trunk", "resnet_18", "resnet18"),
        ("dataset", "Emojis200", "Emoji200"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(kind, typo, meant):
    message = refusal(find_class, kind, typo, where="some.yaml, key")
    assert message.startswith("some.yaml, key")
    assert typo in message
    assert meant in message


def test_bases_and_helpers_are_no_classes_to_choose():
    names = class_names("loss")
    assert not {"BaseMetricLossFunction", "WeightRegularizerMixin"} & set(names)
    assert "DatasetIndex" not in class_names("split_manager")
    assert not {"Dataset", "PublishedDataset"} & set(class_names("dataset"))
    assert "weights_file" not in class_names("trunk")
    assert "Optimizer" not in class_names("optimizer")
    refusal(find_class, "optimizer", "Optimizer")


def test_ours_wins_over_the_library(monkeypatch):
    monkeypatch.setitem(class_folders.OWN_FOLDERS, "loss", ("powerbench.errors", None))
    monkeypatch.setattr(class_folders, "_own", class_folders._own.__wrapped__)
    assert find_class("loss", "UserError") is UserError
    assert find_class("loss", "ContrastiveLoss").__module__.startswith("pytorch_metric_learning")


def test_every_library_loss_can_be_checked_and_most_need_only_what_is_injected():
    injected = ("num_classes", "embedding_size")
    needing = {}
    for name in class_names("loss"):
        try:
            check_arguments("loss", name, {}, injected=injected)
        except UserError as error:
            needing[name] = error.what
    assert set(needing) <= {
        "GenericPairLoss",
        "CrossBatchMemory",
        "ManifoldLoss",
        "MultipleLosses",
        "P2SGradLoss",
        "RankedListLoss",
        "SelfSupervisedLoss",
    }
    assert needing["RankedListLoss"] == "RankedListLoss needs margin, Tn."


@pytest.mark.parametrize(
    "name", ["ContrastiveLoss", "SoftTripleLoss", "SubCenterArcFaceLoss", "CosFaceLoss", "MarginLoss"]
)
def test_what_passes_the_check_can_be_built(name):
    check_arguments("loss", name, {"embedding_reg_weight": 2.0}, injected=("num_classes", "embedding_size"))
    build("loss", spec(name, embedding_reg_weight=2.0), num_classes=3, embedding_size=4)


def test_arguments_of_base_classes_count_and_those_a_class_sets_itself_do_not():
    assert accepts("loss", "ContrastiveLoss", "collect_stats")
    assert not accepts("loss", "ContrastiveLoss", "mat_based_loss")
    assert accepts("loss", "SubCenterArcFaceLoss", "num_classes")
    assert not accepts("miner", "BatchHardMiner", "pos_strategy")
    assert not accepts("distance", "CosineSimilarity", "is_inverted")


def test_an_unknown_argument_is_refused_with_place_and_nearest_name():
    message = refusal(check_arguments, "loss", "ContrastiveLoss", {"pos_margn": 1}, where="a.yaml, loss_funcs")
    assert message.startswith("a.yaml, loss_funcs/pos_margn")
    assert "Did you mean pos_margin" in message


def test_nested_classes_are_checked_to_any_depth():
    args = {"distance": {"LpDistance": {"powr": 2}}}
    message = refusal(check_arguments, "loss", "ContrastiveLoss", args, where="w")
    assert message.startswith("w/distance/LpDistance/powr")
    message = refusal(
        check_arguments,
        "loss",
        "CrossBatchMemory",
        {"loss": {"NormalizedSoftmaxLos": None}},
        injected=("embedding_size",),
    )
    assert "NormalizedSoftmaxLoss" in message
    message = refusal(check_arguments, "loss", "ContrastiveLoss", {"reducer": {"A": {}, "B": {}}}, where="w")
    assert "expected one class" in message


def test_missing_arguments_are_named_except_those_filled_in():
    check_arguments("loss", "ProxyNCALoss", {}, injected=("num_classes", "embedding_size"))
    assert "num_classes, embedding_size" in refusal(check_arguments, "loss", "ProxyNCALoss", {})


def test_what_is_filled_in_is_not_the_users_to_give_except_where_it_makes_sense():
    assert "leave it out" in refusal(check_arguments, "optimizer", "SGD", {"params": 1}, injected=("params",))
    check_arguments("loss", "MarginLoss", {"num_classes": None}, injected=("num_classes",))


@pytest.mark.parametrize(
    ("kind", "name", "args"),
    [
        ("loss", "TripletMarginLoss", {"margin": "abc"}),
        ("loss", "TripletMarginLoss", {"swap": "yes"}),
        ("optimizer", "RMSprop", {"lr": "fast"}),
        ("optimizer", "RMSprop", {"momentum": [0.9]}),
        ("optimizer", "RMSprop", {"centered": 1}),
        ("loss", "HistogramLoss", {"n_bins": "ten"}),
        ("sampler", "MPerClassSampler", {"m": 2.5}),
    ],
)
def test_types_that_a_signature_excludes_are_refused(kind, name, args):
    message = refusal(check_arguments, kind, name, args, where="f", injected=("params", "labels", "batch_size"))
    assert message.startswith(f"f/{next(iter(args))}")
    assert "takes" in message


@pytest.mark.parametrize(
    ("kind", "name", "args"),
    [
        ("loss", "TripletMarginLoss", {"margin": 1, "triplets_per_anchor": 10}),
        ("loss", "MarginLoss", {"beta": [1.0, 2.0]}),
        ("optimizer", "RMSprop", {"lr": 1, "foreach": None}),
        ("transform", "Resize", {"size": [3, 4]}),
        ("transform", "RandomResizedCrop", {"size": 3, "scale": [0.1, 1]}),
        ("trunk", "resnet18", {"anything": 1}),
    ],
)
def test_values_that_a_signature_allows_pass(kind, name, args):
    check_arguments(kind, name, args, injected=("params",))


def test_a_spec_has_three_spellings():
    assert parse_spec("A") == parse_spec({"A": None}) == parse_spec({"A": {}}) == ("A", {})
    for wrong in (None, 3, {}, {"A": {}, "B": {}}, {"A": 3}):
        assert "expected one class" in refusal(parse_spec, wrong, where="x")


def test_injected_keywords_reach_only_who_takes_them_and_nested_classes_too():
    loss = build(
        "loss",
        spec("CrossBatchMemory", loss={"ContrastiveLoss": None}, miner="BatchHardMiner"),
        num_classes=5,
        embedding_size=7,
    )
    assert loss.embedding_memory.shape == (1024, 7)
    assert type(loss.miner).__name__ == "BatchHardMiner"
    assert build("loss", spec("ArcFaceLoss"), num_classes=5, embedding_size=7).W.shape == (7, 5)
    build("loss", spec("ContrastiveLoss"), num_classes=5, embedding_size=7)


def test_the_config_wins_over_what_is_injected():
    shared = build("loss", spec("MarginLoss", learn_beta=True, num_classes=None), num_classes=5)
    assert shared.beta.numel() == 1
    assert build("loss", spec("MarginLoss", learn_beta=True), num_classes=5).beta.numel() == 5


def test_nested_objects_are_built():
    loss = build(
        "loss",
        spec(
            "NormalizedSoftmaxLoss",
            distance={"DotProductSimilarity": {"normalize_embeddings": False}},
            reducer="SumReducer",
            weight_regularizer={"LpRegularizer": {"p": 1}},
            weight_init_func={"constant_": {"val": 0.5}},
        ),
        num_classes=2,
        embedding_size=3,
    )
    assert loss.distance.normalize_embeddings is False
    assert "SumReducer()" in str(loss.reducer)
    assert loss.weight_regularizer.p == 1
    assert (loss.W == 0.5).all()


def test_frozen_arguments_arrive_as_lists_and_dicts():
    pad = build("transform", SimpleNamespace(name="Pad", args=MappingProxyType({"padding": (1, 2)})))
    assert pad.padding == [1, 2]


def test_a_class_that_refuses_its_arguments_is_the_users_mistake():
    message = refusal(build, "loss", spec("TripletMarginLoss", distance={"LpDistance": {"no_such": 1}}))
    assert "LpDistance refuses" in message
    assert "SNRDistance" in refusal(build, "loss", spec("SignalToNoiseRatioContrastiveLoss", distance="LpDistance"))


def test_a_users_file_gives_its_class(tmp_path):
    file = tmp_path / "my_loss.py"
    file.write_text("class MyLoss:\n    def __init__(self, a, num_classes=1):\n        self.pair = a, num_classes\n")
    name = f"{file}:MyLoss"
    assert user_file(name) == file
    assert user_file("MyLoss") is None
    assert build("loss", spec(name, a=2), num_classes=9, embedding_size=1).pair == (2, 9)
    assert "Did you mean a?" in refusal(check_arguments, "loss", name, {"aa": 1}, where="w")
    assert find_class("loss", name) is find_class("loss", name)
    file.write_text("class MyLoss:\n    pair = 'new'\n")
    assert find_class("loss", name).pair == "new"


def test_mistakes_in_a_users_file_are_told(tmp_path):
    file = tmp_path / "mine.py"
    assert "there is no file" in refusal(find_class, "loss", f"{file}:Mine", where="cfg")
    file.write_text("import no_such_module_anywhere\n")
    assert "no_such_module_anywhere" in refusal(find_class, "loss", f"{file}:Mine")
    file.write_text("def broken(:\n")
    assert "SyntaxError" in refusal(find_class, "loss", f"{file}:Mine")
    file.write_text("raise SystemExit('stop')\n")
    assert "stop" in refusal(find_class, "loss", f"{file}:Mine")
    file.write_text("class Mine2: pass\n")
    message = refusal(find_class, "loss", f"{file}:Mine")
    assert "no class 'Mine'" in message
    assert "Mine2" in message


def test_importing_the_lookup_is_light():
    code = "import sys, powerbench.classes; sys.exit(bool({'torch', 'numpy', 'timm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_names_can_be_found():
    for kind in (
        "miner",
        "distance",
        "reducer",
        "regularizer",
        "sampler",
        "dataset",
        "split_manager",
        "method",
        "scheduler",
    ):
        for name in class_names(kind):
            assert callable(find_class(kind, name)), name
    assert set(classes.NESTED.values()) <= {*class_folders.OWN_FOLDERS, *classes.LIBRARIES}
