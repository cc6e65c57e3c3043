"""Processes that make batches: they start once, and end soon after the process that started them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

PARENT_CHECK = 0.5
"""Seconds between two looks of a worker at whether its parent still lives."""


class _Plan(Sampler):
    """What a persistent loader makes next."""

    def __init__(self) -> None:
        self.requests: Sequence[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.requests)

    def __len__(self) -> int:
        return len(self.requests)


class Loader:
    """Worker processes that make one list of batches after the other. ``busy`` is for whoever shares it out."""

    def __init__(self, maker: Dataset, workers: int, *, pinned: bool) -> None:
        self.workers, self.busy = workers, False
        self._plan = _Plan()
        self._loader = DataLoader(
            maker,
            batch_size=None,
            sampler=self._plan,
            num_workers=workers,
            collate_fn=_as_made,
            persistent_workers=True,
            generator=torch.Generator(),  # else starting workers would draw from the global one
            pin_memory=pinned,
            multiprocessing_context="fork" if sys.platform == "linux" else None,
            worker_init_fn=partial(_end_with_parent, os.getpid()),
        )

    @property
    def alive(self) -> bool:
        """Whether none of the processes has died."""
        iterator = self._loader._iterator  # torch has no other way to them
        return iterator is None or all(process.is_alive() for process in getattr(iterator, "_workers", ()))

    def made(self, requests: Sequence[Any]) -> Iterable[Any]:
        """The batches, in order."""
        self._plan.requests = requests
        return self._loader


def _as_made(batch: Any) -> Any:
    return batch


def _end_with_parent(parent: int, worker: int) -> None:
    """End this worker soon after its parent (torch's own watch takes five seconds or more, and never ends a worker
    whose parent was gone before the worker began to watch)."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
