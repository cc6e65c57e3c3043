"""A GPU works on while its host plans ahead, unless the host reads a number that is still being computed."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from powerbench.training import train_fold
from tests.training.tiny import CONFIG, named, tiny_job, trainer


class Reads(TorchDispatchMode):
    """Counts the numbers that are read from tensors, one by one (``item``, ``if tensor``) or all of them."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_no_training_step_waits_for_the_device(tmp_path):
    def reads(iterations):
        job = tiny_job(
            tmp_path / str(iterations),
            trainer=trainer(iterations_per_epoch=iterations),
            loss_funcs={"metric_loss": {named("LossThatExplodes"): {}}},
            optimizers={name: {"SGD": {"lr": 1e-6}} for name in CONFIG["optimizers"]},
            transforms={"train": {}, "eval": {}},  # random ones read what they drew, on the CPU
            num_epochs_train=1,
        )
        with Reads() as counted:
            assert train_fold(job).failure is None
        return counted.count

    assert reads(2) == reads(9)
