"""The contract carries methods that cluster, remember and fight; interrupted, they end where they would have."""

from pathlib import Path

import pytest

from powerbench.jobs import UNTRAINED_EPOCHS
from powerbench.training import checkpoints, train_fold
from tests.training.interrupting import StopAt, last_state, same, train_interrupted, without_times
from tests.training.tiny import CONFIG, named, tiny_job, trainer

METHODS = Path(__file__).parent / "tiny_methods.py"
RMSPROP = {"RMSprop": {"lr": 0.01, "momentum": 0.9}}


def clustering(folder):
    return tiny_job(
        folder,
        trainer=trainer(named("ClusterHeads", METHODS), clusters=2),
        sampler={"RandomSampler": {}},
        optimizers={**CONFIG["optimizers"], "masks_optimizer": {"Adam": {"lr": 0.05}}},
    )


def fighting(folder):
    return tiny_job(
        folder,
        trainer=trainer(named("MomentumQueue", METHODS)),
        optimizers={**CONFIG["optimizers"], "adversary_optimizer": RMSPROP},
    )


JOBS = {"clustering": clustering, "fighting": fighting}


@pytest.fixture
def kept_checkpoints(monkeypatch):
    monkeypatch.setattr(checkpoints, "remove_checkpoint", lambda folder: None)


@pytest.mark.parametrize("name", JOBS)
def test_trains_and_measures(tmp_path, name):
    result = train_fold(JOBS[name](tmp_path))
    assert result.failure is None
    assert result.epochs == 4
    epochs = {(row.epoch, row.weights) for row in result.measurements}
    assert epochs == {
        *((epoch, weights) for weights, epoch in UNTRAINED_EPOCHS.items()),
        (2, "trained"),
        (4, "trained"),
    }
    names = {row.name for row in result.losses}
    assert names == {"total_loss", *({"pairs", "size"} if name == "clustering" else {"contrast", "fooled", "guessed"})}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("clustering", (5, 18, 9, 22, 14, 30)),
        ("clustering", (16, 16, 16, 16, 16, 16)),
        ("fighting", (5, 8, 5, 9, 4, 6, 12)),
        ("fighting", (6, 6, 6, 6, 6)),
    ],
)
def test_interrupted_in_mid_epoch_it_ends_at_the_same_bits(tmp_path, kept_checkpoints, name, stops):
    whole = JOBS[name](tmp_path / "whole")
    broken = JOBS[name](tmp_path / "broken")
    expected = train_fold(whole)
    result, stopped = train_interrupted(broken, stops)
    assert stopped >= 4
    assert without_times(result) == without_times(expected)
    assert same(last_state(Path(broken.folder)), last_state(Path(whole.folder)))


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_interrupted_at_every_epoch_boundary_it_ends_at_the_same_bits(tmp_path, kept_checkpoints, name):
    whole = JOBS[name](tmp_path / "whole")
    broken = JOBS[name](tmp_path / "broken")
    expected = train_fold(whole)
    reports: list[str] = []
    for epoch in (1, 2, 3):
        stop = StopAt(10**9)

        def reporter(line: str, epoch: int = epoch, stop: StopAt = stop) -> None:
            reports.append(line)
            if line.startswith(f"epoch {epoch} "):
                stop.call = 0

        with pytest.raises(Exception, match=f"stopped after epoch {epoch}"):
            train_fold(broken, report=reporter, should_stop=stop)
    result = train_fold(broken, report=reports.append)
    assert [line.split(":")[0] for line in reports] == ["untrained", *(f"epoch {n} of 4" for n in (1, 2, 3, 4))]
    assert without_times(result) == without_times(expected)
    assert same(last_state(Path(broken.folder)), last_state(Path(whole.folder)))
