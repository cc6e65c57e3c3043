"""errors, seeding, files, jobs and console: what everything else stands on."""

import dataclasses
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from powerbench.console import duration
from powerbench.errors import UserError, nearest
from powerbench.files import file_lock, sha256_of, write_atomic
from powerbench.jobs import (
    ConcatenatedValue,
    EvaluateJob,
    EvaluateResult,
    Failure,
    FoldModel,
    LossValue,
    Measurement,
    Places,
    SeparateValue,
    TrainJob,
    TrainResult,
    job_from_json,
    result_from_json,
    to_json,
)
from powerbench.seeding import numpy_generator, seed_of, seeded

PLACES = Places("data", "cache")


def test_a_user_error_says_where_and_what_would_be_right():
    error = UserError("marginn is unknown.", where="a.yaml: loss_funcs", near=["margin"])
    assert str(error) == "a.yaml: loss_funcs: marginn is unknown. Did you mean margin?"
    assert error.exit_status == 2


def test_nearest_ignores_case_and_gives_the_original_spelling():
    assert nearest("contrastiveloss", ["ContrastiveLoss", "CosFaceLoss"])[0] == "ContrastiveLoss"
    assert nearest("zzz", ["ContrastiveLoss"]) == ()


def test_seeds_depend_on_names_and_values_only():
    assert seed_of(a=1, b="x") == seed_of(b="x", a=1)
    assert seed_of(a=1) != seed_of(b=1) != seed_of(a=2)
    assert 0 <= seed_of(a=1) < 2**63


def test_seeded_repeats_and_restores_every_global_generator():
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    draws = []
    for _ in range(2):
        with seeded(7):
            draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert numpy_generator(a=1).random() == numpy_generator(a=1).random()


def test_seeded_restores_after_an_error():
    state = random.getstate()

    def fail():
        with seeded(1):
            random.random()
            raise KeyError

    pytest.raises(KeyError, fail)
    assert random.getstate() == state


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "deep" / "file"
    write_atomic(path, "old")

    def torn(file):
        file.write(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, torn)
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_write_atomic_takes_text_bytes_and_writers(tmp_path):
    for content in ("é", "é".encode(), lambda file: file.write("é".encode())):
        write_atomic(tmp_path / "f", content)
        assert (tmp_path / "f").read_bytes() == "é".encode()
    assert sha256_of(tmp_path / "f") == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


def test_a_file_lock_lets_one_in_at_a_time(tmp_path):
    order = []

    def other():
        with file_lock(tmp_path / "lock"):
            order.append("other")

    with file_lock(tmp_path / "lock"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.2)
        order.append("mine")
    thread.join()
    assert order == ["mine", "other"]


TRAINED = TrainResult(
    fold_name="f_0", split_checksum="c", best_epoch=2, best_value=0.1 + 0.2, epochs=4, iterations=40, seconds=1.5,
    model_seconds=1.0, measurements=(Measurement("val", 2, "trained", "map_at_r", 1e-300),),
    losses=(LossValue(1, "metric_loss", 0.3),), environment={"torch": "2"}, failure=Failure("nan", "loss is nan"),
)  # fmt: skip
EVALUATED = EvaluateResult(
    (SeparateValue(0, "test", 2, "trained", "map_at_r", 0.5),),
    (ConcatenatedValue("test", "trained", "map_at_r", 0.6),),
    2.0,
    {},
    None,
)


@pytest.mark.parametrize("result", [TRAINED, EVALUATED, dataclasses.replace(TRAINED, failure=None)])
def test_results_survive_json_to_the_last_bit(result):
    assert result_from_json(to_json(result)) == result


@pytest.mark.parametrize(
    "job",
    [
        TrainJob({"a": [1]}, 0, 5, "f", PLACES),
        EvaluateJob({"a": 1}, (FoldModel(0, 1, "f", 2),), ("test",), ("separate",), PLACES),
    ],
)
def test_jobs_survive_json(job):
    assert job_from_json(to_json(job)) == job


def test_nothing_but_plain_values_stands_in_a_job():
    with pytest.raises(TypeError, match="object"):
        to_json(TrainJob({"a": object()}, 0, 5, "f", PLACES))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99, "99 s"), (150, "2 min"), (7500, "2 h 05 min"), (273_600, "3 d 4 h")],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_the_foundations_import_neither_torch_nor_pandas():
    code = (
        "import sys, powerbench.errors, powerbench.seeding, powerbench.files, powerbench.jobs, powerbench.plan,"
        "powerbench.protocol, powerbench.roots; print([m for m in ('torch', 'pandas', 'ax', 'sqlalchemy') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
