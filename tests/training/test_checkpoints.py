import logging
import pickle
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from powerbench.errors import Stopped
from powerbench.training import checkpoints, train_fold
from tests.training.interrupting import StopAt, without_times
from tests.training.tiny import tiny_job


@pytest.fixture
def stopped(tmp_path):
    """A job that was stopped in its third epoch, and what it would have given."""
    job = tiny_job(tmp_path)
    expected = train_fold(replace(job, folder=str(tmp_path / "whole")))
    with pytest.raises(Stopped):
        train_fold(job, should_stop=StopAt(13))
    return job, Path(job.folder) / checkpoints.CHECKPOINT, expected


def reported(job):
    lines = []
    return train_fold(job, report=lines.append), lines[0]


def test_an_intact_checkpoint_is_continued(stopped):
    job, _, expected = stopped
    result, first = reported(job)
    assert first.startswith("epoch 3 ")
    assert without_times(result) == without_times(expected)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flipped", "other content"])
def test_a_damaged_checkpoint_starts_the_fold_afresh_and_says_so(stopped, damage, caplog):
    job, path, expected = stopped
    content = path.read_bytes()
    middle = len(content) // 2
    damaged = {
        "cut": content[:middle],
        "empty": b"",
        "text": b"not a checkpoint",
        "flipped": content[:middle]
        + bytes(255 - byte for byte in content[middle : middle + 2000])
        + content[middle + 2000 :],
    }
    if damage == "other content":
        torch.save([1, 2], path)
    else:
        path.write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING):
        result, first = reported(job)
    assert first.startswith("untrained")
    assert "starts afresh" in caplog.text
    assert without_times(result) == without_times(expected)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_damage_whatsoever_goes_unnoticed(tmp_path):
    checkpoints.save_checkpoint(tmp_path, "key", {"modules": {"w": torch.ones(3)}, "history": [1, 2.0, None]})
    good = (tmp_path / checkpoints.CHECKPOINT).read_bytes()
    generator = random.Random(0)
    damaged = [
        b"torn",
        *(generator.randbytes(length) for length in range(1, 200)),
        *(good[:n] for n in range(0, 900, 9)),
    ]
    for content in damaged:
        (tmp_path / checkpoints.CHECKPOINT).write_bytes(content)
        assert checkpoints.load_checkpoint(tmp_path, "key") is None


def test_a_checkpoint_of_another_setting_is_not_continued(stopped, caplog):
    job, _, _ = stopped
    with caplog.at_level(logging.WARNING):
        _, first = reported(replace(job, seed=12345))
    assert first.startswith("untrained")
    assert "another setting" in caplog.text


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_checkpoint_is_not_run(stopped, tmp_path):
    job, path, _ = stopped
    with path.open("wb") as file:
        pickle.dump({"key": Harmful(tmp_path / "was here")}, file)
    _, first = reported(job)
    assert first.startswith("untrained")
    torch.save({"key": Harmful(tmp_path / "was here")}, path)
    assert checkpoints.load_checkpoint(path.parent, "any") is None
    assert not (tmp_path / "was here").exists()


def test_half_written_files_of_a_killed_process_are_removed_and_others_stay(stopped):
    job, path, _ = stopped
    mine = path.with_name(".notes.tmp")
    for file in (mine, path.with_name(".checkpoint.pth.12ab34cd.tmp"), path.with_name(".trunk_best.pth.12ab34cd.tmp")):
        file.write_bytes(b"half")
    train_fold(job)
    assert [file.name for file in path.parent.glob(".*")] == [mine.name]


def test_killed_before_the_result_was_recorded_it_is_not_trained_again(stopped):
    job, path, expected = stopped
    saved = path.read_bytes()
    result = train_fold(job)
    path.write_bytes(saved)  # killed between writing the result and removing the checkpoint
    assert train_fold(job, report=lambda line: pytest.fail("trained again")) == result
    assert without_times(result) == without_times(expected)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"key": "x", "result": "{}"}'])
def test_a_damaged_result_is_not_believed(tmp_path, content):
    (tmp_path / checkpoints.RESULT).write_text(content)
    assert checkpoints.load_result(tmp_path, "x", ()) is None


def test_the_key_follows_the_setting_and_the_inputs(tmp_path):
    job = tiny_job(tmp_path)
    keys = {
        checkpoints.run_key(job, dataset="a"),
        checkpoints.run_key(job, dataset="b"),
        checkpoints.run_key(replace(job, fold=1), dataset="a"),
        checkpoints.run_key(replace(job, seed=1), dataset="a"),
        checkpoints.run_key(replace(job, config={**job.config, "save_interval": 3}), dataset="a"),
    }
    assert len(keys) == 5
    assert checkpoints.run_key(replace(job, folder="elsewhere"), dataset="a") in keys


def test_a_checkpoint_is_continued_under_settings_that_change_no_result(stopped):
    job, _, expected = stopped
    trainer = {"MetricLossOnly": {**job.config["trainer"]["MetricLossOnly"], "dataloader_num_workers": 1}}
    free = {"checkpoint_seconds": 7.0, "keep_weights": "all", "splits_to_eval": ["test"], "trainer": trainer}
    result, first = reported(replace(job, config={**job.config, **free}))
    assert first.startswith("epoch 3 ")
    assert without_times(result) == without_times(expected)
