"""Experiments that powerful-benchmarker trained, evaluated where they lie: the metrics are those of their models."""

import hashlib
import shutil

import numpy as np
import pretrainedmodels
import pytest
import torch
from torch import nn

from powerbench.cli import main
from powerbench.store.store import Store
from tests.legacy.old_folders import OF_0_9_32, TABLE, save_models, write_configs, write_tables
from tests.training import tiny

pytestmark = pytest.mark.slow

FOLDS = ("Test50_50_Partitions2_0", "Test50_50_Partitions2_1")
IMAGES = {"classes": 8, "per_class": 4, "size": 32, "noise": 90.0}
CHANGED = {
    "dataset": {"BirdsOfItsAuthor": {"seen_only_there": True}},
    "split_manager": {"MLRCSplitManager": {"test_size": 0.5, "num_training_partitions": 2, "num_training_sets": 2}},
    "models": {"trunk": {"bninception": {"pretrained": "imagenet"}}, "embedder": {"MLP": {"layer_sizes": [8]}}},
    "transforms": {"train": {"Resize": {"size": 32}}, "eval": {"Resize": {"size": 32}}},
}
OVERRIDES = [
    *("--dataset~OVERRIDE~", f"{{{tiny.named('TinyImages')}: {{classes: 8, per_class: 4, size: 32, noise: 90.0}}}}"),
    *("--models", "{trunk: {bninception: {pretrained: null}}}", "--device", "cpu"),
    *("--tester", "{GlobalEmbeddingSpaceTester: {dataloader_num_workers: 0}}"),
]


def network(seed):
    """BN-Inception as powerful-benchmarker made it, and an embedder's layer. The pool fits small images."""
    torch.manual_seed(seed)
    trunk = pretrainedmodels.bninception(num_classes=1000, pretrained=None)
    trunk.last_linear, trunk.global_pool = nn.Identity(), nn.AdaptiveAvgPool2d(1)
    return trunk.eval(), nn.Linear(1024, 8)


def states(trunk, layer, *, early):
    """Their state dicts; ``early``: with batch norm's tensors of size 1 x C and without its counters."""
    state = dict(trunk.state_dict())
    if early:
        norms = {name for name, module in trunk.named_modules() if isinstance(module, nn.BatchNorm2d)}
        state = {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}
        state = {name: t.unsqueeze(0) if name.rpartition(".")[0] in norms else t for name, t in state.items()}
    named = {f"{place}.{name}": t for place in ("net.0", "last_linear") for name, t in layer.state_dict().items()}
    return {"trunk": state, "embedder": named}


@pytest.fixture(name="old", scope="module")
def _old(tmp_path_factory):
    """The root of a folder as 0.9.32 leaves it, with the name that older versions gave in its second fold."""
    root = tmp_path_factory.mktemp("old")
    folder = write_configs(root / "birds", OF_0_9_32, **CHANGED)
    for number, fold in enumerate(FOLDS):
        models = states(*network(number), early=number == 1)
        save_models(folder, fold, states(*network(9), early=False), "36")
        save_models(folder, fold, models, "best" if number else "best34")
        rows = [
            {"epoch": epoch, "precision_at_1_level0": value, "mean_average_precision_at_r_level0": value / 2}
            for epoch, value in ((-1, 0.1), (0, 0.2), (34, 0.6 + number / 10), (36, 0.5))
        ]
        write_tables(folder / fold, {f"{TABLE}_VAL": [{**row, "best_epoch": 34} for row in rows]})
    key = "mean_average_precision_at_r_level0"
    means = [{key: value, f"SEM_{key}": 0.01, "trained_status": "trained"} for value in (0.9, 0.25)]
    tables = {f"{mode}_{TABLE}_TEST": means for mode in ("MeanAggregator", "ConcatenateEmbeddings")}
    write_tables(folder / "meta_logs", tables)
    return root


def files_of(folder):
    ours = folder / "powerbench"
    paths = [path for path in folder.rglob("*") if path.is_file() and ours not in path.parents]
    return {path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in paths}


def evaluate(root, *words, name="birds"):
    return main(["--root_experiment_folder", str(root), "--experiment_name", name, *words])


def naive_embeddings(trunk, layer, items):
    """BGR, 0 to 255, minus the mean; the layer; length 1."""
    dataset = tiny.TinyImages(**IMAGES)
    found = []
    for item in items:
        pixels = np.asarray(dataset.image(item), dtype=np.float32)[:, :, ::-1] - np.array([104, 117, 128], np.float32)
        with torch.no_grad():
            embedding = layer(trunk(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]))[0].double().numpy()
        found.append(embedding / np.linalg.norm(embedding))
    return np.array(found)


def naive_map_at_r(embeddings, labels):
    values = []
    for query in range(len(labels)):
        order = sorted((o for o in range(len(labels)) if o != query), key=lambda o: -embeddings[query] @ embeddings[o])
        r = sum(labels[other] == labels[query] for other in order)
        hits = [labels[other] == labels[query] for other in order[:r]]
        values.append(sum(sum(hits[: i + 1]) / (i + 1) for i in range(r) if hits[i]) / r)
    return float(np.mean(values))


def test_its_models_give_the_metrics_of_their_definitions_and_its_files_stay(old, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = files_of(old / "birds")
    words = ["--evaluate", "--evaluate_ensemble", "--splits_to_eval", "[val, test]"]
    assert evaluate(old, *words, *OVERRIDES) == 0
    printed = capsys.readouterr().out
    assert f"our files go to {old}/birds/powerbench" in printed
    assert files_of(old / "birds") == before
    labels = tiny.TinyImages(**IMAGES).index.labels[:, 0]
    test, networks = np.flatnonzero(labels >= 4), [network(0), network(1)]
    each = [naive_embeddings(*models, test) for models in networks]
    expected = {"separate": np.mean([naive_map_at_r(found, labels[test]) for found in each])}
    expected["concatenated"] = naive_map_at_r(np.concatenate(each, axis=1), labels[test])
    validation = [np.flatnonzero((labels // 2) == (1 if fold == 0 else 0)) for fold in range(2)]
    on_val = [
        naive_map_at_r(naive_embeddings(*models, items), labels[items])
        for models, items in zip(networks, validation, strict=True)
    ]
    with Store.open(old / "results.sqlite") as store:
        trial = store.trials(store.experiment("birds").id)[0]
        found = {
            (row.split, row.mode): row.value
            for row in store.evaluations(trial.id)
            if (row.weights, row.metric) == ("trained", "map_at_r")
        }
        runs = store.runs(trial.id)
    for mode, value in expected.items():
        assert found["test", mode] == pytest.approx(value, abs=1e-6)
        assert 0.05 < value < 0.95
    assert found["val", "separate"] == pytest.approx(np.mean(on_val), abs=1e-6)
    assert [(run.fold_name, run.best_epoch, run.best_value) for run in runs] == [
        (FOLDS[0], 34, 0.3),
        (FOLDS[1], 34, pytest.approx(0.35)),
    ]
    rows = [line.split() for line in printed.splitlines() if line.startswith("test") and "25.00 (1)" in line]
    assert {row[1] for row in rows} == {"separate", "concatenated"}

    assert evaluate(old, *words, *OVERRIDES) == 0
    assert main(["report", "birds", "--root_experiment_folder", str(old)]) == 0
    assert "what powerful-benchmarker logged" in capsys.readouterr().out
    assert (old / "birds/powerbench/meta_logs/logged.csv").is_file()
    assert evaluate(old) == 0
    assert main(["delete", "birds", "--yes", "--root_experiment_folder", str(old)]) == 0
    assert files_of(old / "birds") == before
    assert not (old / "birds/powerbench").exists()


def test_weights_are_written_as_pretrainedmodels_loads_them(old, tmp_path):
    from powerbench.legacy.checkpoints import best_models, load_old_weights
    from powerbench.models.trunks.bninception import bninception

    models = best_models(old / "birds", FOLDS[1], ("trunk", "embedder"))
    assert models.epoch is None
    state = load_old_weights(bninception(pretrained=None), models.files["trunk"])
    trunk, _ = network(1)
    assert all(torch.equal(tensor, state[name]) for name, tensor in trunk.state_dict().items())
    trunk.load_state_dict(state, strict=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "was written by powerful-benchmarker: its training is not continued"),
        (["--resume_training", "latest"], "--reproduce_results"),
        (["--evaluate_ensemble", *OVERRIDES], "works on the test split only"),
        (["--evaluate"], "there is no dataset named 'BirdsOfItsAuthor'"),
        (["--evaluate", *OVERRIDES, "--split_manager~SWAP~1", "{ClosedSetSplitManager:", "null}"], "at random"),
        (
            ["--evaluate", *OVERRIDES, "--split_manager~APPLY~2", "{num_training_partitions: 3}"],
            "Test50_50_Partitions2_0",
        ),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_written(old, words, says, capsys):
    before = files_of(old)
    assert evaluate(old, *words) == 2
    assert says in capsys.readouterr().err
    assert files_of(old) == before


def test_missing_damaged_and_dangerous_models_are_told(old, tmp_path, capsys):
    import pickle

    shutil.copytree(old / "birds", tmp_path / "birds")
    models = tmp_path / "birds" / FOLDS[0] / "saved_models"
    (models / "embedder_best34.pth").unlink()
    assert evaluate(tmp_path, "--evaluate", *OVERRIDES) == 2
    assert f"{models}: embedder_best34.pth is missing" in capsys.readouterr().err
    (models / "embedder_best34.pth").write_bytes(pickle.dumps(print, protocol=2))
    assert evaluate(tmp_path, "--evaluate", *OVERRIDES) == 2
    assert "embedder_best34.pth" in capsys.readouterr().err
    torch.save({"net.0.weight": torch.zeros(3, 3)}, models / "embedder_best34.pth")
    assert evaluate(tmp_path, "--evaluate", *OVERRIDES) == 2
    assert "does not fit the network" in capsys.readouterr().err
    (models / "trunk_best34.pth").unlink()
    (models / "embedder_best34.pth").unlink()
    assert evaluate(tmp_path, "--evaluate", *OVERRIDES) == 2
    assert "holds no best models" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["birds"]
    assert not (tmp_path / "birds/powerbench").exists()


def test_a_malformed_list_of_results_is_told_before_anything_is_written(old, tmp_path, capsys):
    shutil.copytree(old / "birds", tmp_path / "birds", ignore=shutil.ignore_patterns("meta_logs", "powerbench"))
    (tmp_path / "birds/best_parameters.yaml").write_text("- birds1\n")
    before = files_of(tmp_path / "birds")
    assert evaluate(tmp_path, "--evaluate", *OVERRIDES) == 2
    assert "best_parameters.yaml" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["birds"]
    assert files_of(tmp_path / "birds") == before
    assert not (tmp_path / "birds/powerbench").exists()
