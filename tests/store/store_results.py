"""Results as an executor gives them, with made-up numbers."""

from powerbench.jobs import (
    ConcatenatedValue,
    EvaluateResult,
    Failure,
    LossValue,
    Measurement,
    SeparateValue,
    TrainResult,
)


def train_result(fold=0, values=(0.1 + 0.2, 1e-300), failure=None, environment=None):
    return TrainResult(
        fold_name=f"Test50_50_Partitions4_{fold}",
        split_checksum="s",
        best_epoch=1,
        best_value=max(values),
        epochs=2,
        iterations=20,
        seconds=1.5,
        model_seconds=1.25,
        measurements=tuple(Measurement("val", e, "trained", "map_at_r", v) for e, v in enumerate(values, 1)),
        losses=tuple(LossValue(e, "metric_loss", 1 / 3 / e) for e in range(1, len(values) + 1)),
        environment={"torch": "2.14.1"} if environment is None else environment,
        failure=failure,
    )


def failed_result(fold=0):
    return train_result(fold, values=(float("nan"),), failure=Failure("nan", "the loss is NaN in epoch 1"))


def evaluation(values, split="test", concatenated=0.7, metric="map_at_r", environment=None):
    return EvaluateResult(
        separate=tuple(SeparateValue(f, split, 1, "trained", metric, v) for f, v in enumerate(values)),
        concatenated=(ConcatenatedValue(split, "trained", metric, concatenated),),
        environment={"torch": "2.14.1"} if environment is None else environment,
    )


def trained(store, experiment, kind, number, mean, parameters=None, folds=2):
    """A finished trial with its fold runs."""
    trial = store.add_trial(experiment.id, kind, number, {} if parameters is None else parameters)
    for fold in range(folds):
        store.add_run(trial.id, fold, seed=7 + fold, folder=f"{kind}_{number}/fold_{fold}")
        store.finish_run(trial.id, fold, train_result(fold))
    return store.finish_trial(trial.id, mean, 0.01)


def make_experiment(store, tmp_path, name="first"):
    return store.create_experiment(
        name,
        config={"seed": 0, "loss": {"margin~BAYESIAN~": [0.1, 1e-300]}},
        config_hash="c0",
        protocol={"dataset": "Emoji200", "selection": "validation_best"},
        fingerprint="f0",
        seed=2**63 - 1,
        budget={"trials": 2, "reproductions": [0, 1]},
        folder=tmp_path / "root" / name,
    )
